package coexist

import (
	"context"
	"errors"
	"slices"

	"mpproxy/pathctl/mptcppm"
)

// Scanner looks at the host. A scan costs one netlink dump and two small files;
// the list of processes is read only when there is something new to attribute.
// One goroutine may use it.
type Scanner struct {
	// Endpoints reads all endpoints of the network namespace.
	Endpoints func(context.Context) ([]mptcppm.Endpoint, error)
	// Ours reports whether an endpoint belongs to an mpproxy.
	Ours func(mptcppm.Endpoint) bool
	// EventsGroup is the multicast group of MPTCP's events, 0 when not known:
	// listeners are not looked for then.
	EventsGroup uint32
	// Proc is where procfs is mounted; empty is /proc.
	Proc string

	last  Facts
	sites []socket // of the listeners of the last scan
}

// Scan returns what there is now: Userspace, Endpoints, Listeners and Programs.
// What could not be read is missing from them, and said by the error.
func (s *Scanner) Scan(ctx context.Context) (Facts, error) {
	var f Facts
	userspace, managerErr := s.userspace()
	f.Userspace = userspace
	var all []mptcppm.Endpoint
	var endpointsErr error
	if s.Endpoints != nil {
		all, endpointsErr = s.Endpoints(ctx)
	}
	for _, e := range all {
		if !s.Ours(e) && e.Flags&mptcppm.FlagImplicit == 0 {
			f.Endpoints = append(f.Endpoints, e)
		}
	}
	sockets, socketsErr := s.listeners()
	if slices.Equal(f.Endpoints, s.last.Endpoints) && slices.Equal(sockets, s.sites) {
		f.Programs, f.Listeners = s.last.Programs, s.last.Listeners
	} else {
		if len(f.Endpoints) > 0 {
			f.Programs = s.programs(networkManager, mptcpd)
		}
		f.Listeners = s.owners(sockets)
	}
	s.last, s.sites = f, sockets
	return f, errors.Join(managerErr, endpointsErr, socketsErr)
}
