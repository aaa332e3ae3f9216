// Package netpath finds the host's ways to the Internet and follows their
// changes: interfaces, addresses and default routes (rtnetlink) become paths.
//
//	m := netpath.New(netpath.Config{
//		Selectors:     []netpath.Selector{{Interface: "wlan*", Name: "wifi"}, {Interface: "wwan0", Metered: true}},
//		SourceRouting: true,
//		Notify:        func(paths []netpath.Path) { … }, // first snapshot, then each relevant change
//	}, logger)
//	err := m.Run(ctx) // until ctx ends; what it added to the kernel is gone when it returns
//
// A path is an interface that is up together with the gateway of a default route in
// the main table, and a usable global unicast address that belongs to that gateway.
// A tunnel runs over another path and is one only where a selector names it. A snapshot is a pure
// function of what the kernel dumped and of the selectors; a netlink
// notification is only a hint to dump again, so that a lost or undecodable one
// costs time and never truth.
//
// With Config.SourceRouting (needs CAP_NET_ADMIN) each path address gets a
// table and rules of its own, so that a socket bound to the address leaves
// through its interface; routing.go says which and why. They carry our protocol
// number and lie in our number range; nothing else is ever changed or removed.
//
// The package does not register MPTCP endpoints, does not choose between paths,
// does not probe whether a path really reaches anything, and changes no sysctl.
package netpath

import (
	"errors"
)

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
