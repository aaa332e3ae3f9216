// Package mptcppm speaks to the kernel's MPTCP path manager: the generic
// netlink family mptcp_pm, all of its commands and all of its events, as Go
// values.
//
//	c, err := mptcppm.Dial(nil)
//	if err != nil { … }
//	defer c.Close()
//	err = c.AddEndpoint(ctx, mptcppm.Endpoint{Addr: addr, IfIndex: 3, Flags: mptcppm.FlagSubflow})
//	if errors.Is(err, mptcppm.ErrExists) { … }
//
//	ev, err := mptcppm.DialEvents(nil)
//	if err != nil { … }
//	defer ev.Close()
//	for e, err := range ev.All(ctx) {
//		if errors.Is(err, mptcppm.ErrEventsLost) { resync(); continue }
//		if err != nil { return err }
//		handle(e)
//	}
//
// Two halves of the family exclude each other, by the namespace's path manager
// (net.mptcp.path_manager, before Linux 6.15 net.mptcp.pm_type) at the moment
// at which a connection was created: endpoints and limits steer connections of
// the in-kernel path manager; CreateSubflow, DestroySubflow, Announce, Remove
// and SetSubflowBackup steer those of the user-space one.
//
// Commands and events have a socket each. A command needs CAP_NET_ADMIN in the
// network namespace each time; an events socket only when it is opened, so it
// goes on working after capabilities were dropped.
//
// The package decides nothing: it keeps no list of endpoints or connections,
// allocates no address ids and does not touch sysctls, routes or interfaces.
package mptcppm
