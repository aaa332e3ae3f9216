package netpath

import "errors"

// Why source routing is off; see Monitor.SourceRouting. Paths work without it
// for sockets that are bound to an interface (SO_BINDTODEVICE).
var (
	// ErrNotStarted is the reason before Run has looked.
	ErrNotStarted = errors.New("source routing not started yet")
	// ErrDisabled is the reason when the configuration does not ask for it.
	ErrDisabled = errors.New("source routing is switched off in the configuration")
	// ErrNotPermitted is the reason when CAP_NET_ADMIN is missing.
	ErrNotPermitted = errors.New("source routing needs CAP_NET_ADMIN: run as root, or " +
		"`setcap cap_net_admin+ep` the program, or AmbientCapabilities=CAP_NET_ADMIN in its systemd unit")
	// ErrInUse is the reason when another process does it in this network
	// namespace.
	ErrInUse = errors.New("another mpproxy does source routing in this network namespace " +
		"(it holds the abstract socket " + lockName + "): stop it, or leave it to that one")
)
