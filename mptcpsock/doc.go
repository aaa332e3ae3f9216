// Package mptcpsock is Multipath TCP sockets as a Go API: dial and listen, know
// whether a connection really is multipath, read what the kernel knows about it
// and its subflows, open and close subflows, and say what paths are for. It gives
// any program the calls that RFC 6897 (basic and advanced API) and the Enhanced
// Socket API (Hesmans and Bonaventure, ANRW 2016) specified, and Apple's service
// types, on an unpatched kernel. docs/api.md has the table.
//
// # Connections
//
//	d := mptcpsock.Dialer{Strict: true, LocalAddr: wifi}
//	c, err := d.Dial(ctx, netip.MustParseAddrPort("192.0.2.1:443"))
//	if errors.Is(err, mptcpsock.ErrNotMultipath) { … } // the peer or a middlebox stripped it
//	defer c.Close()
//	info, err := c.Info()                              // token, counters
//	subflows, err := c.Subflows()                      // addresses, RTT, RTO, bytes of each
//
//	ln, err := (&mptcpsock.ListenConfig{}).Listen(ctx, netip.MustParseAddrPort("[::]:443"))
//	c, err := ln.Accept()
//	multipath, err := c.IsMultipath()                  // false for a plain TCP peer
//
// A Conn holds a *net.TCPConn on the runtime's poller: deadlines, CloseWrite,
// splice and SyscallConn work as on any other. io.Copy recognises only the
// *net.TCPConn itself as a splice source, so hand Conn.TCPConn to it.
//
// What differs from net.Dialer.SetMultipathTCP: a refused or timed-out connect
// is not tried again as plain TCP; plain TCP is taken only when this host gives
// no MPTCP socket, and never when Strict; Conn.Fallback says what happened; the
// receive buffer is fixed (DefaultReceiveBuffer says why); and sockets are
// dual-stack, so that a connection to an IPv4 address can have IPv6 subflows.
//
// # Subflows
//
// What is only read needs no privilege: SubIDs, SubTuple, Pairs, ConnID, Enabled,
// Stats, SubTCPInfo, Events. What changes subflows goes through a Controller, one
// in a program, which needs CAP_NET_ADMIN in the network namespace:
//
//	ctl, err := mptcpsock.OpenController(ctx, mptcpsock.ControllerConfig{})
//	if errors.Is(err, mptcpsock.ErrNotPermitted) { … } // go on without
//	defer ctl.Close()
//	c, err := (&mptcpsock.Dialer{Controller: ctl}).DialHost(ctx, "example.net:443")
//	id, err := c.OpenSub(ctx, lte, netip.AddrPort{}, mptcpsock.Backup)
//	err = c.RemoveAddrs(ctx, wifi)                     // alternatives first, then the peer is told
//	for event, err := range c.Events(ctx) { … }
//
// Options of one subflow (SubSetsockopt, SubGetsockopt) need no Controller, but
// CAP_BPF and CAP_PERFMON besides.
//
// # Services
//
// A Dialer that says what it wants leaves subflows to the policies that the proxy
// uses, which run in the program's own process:
//
//	d := mptcpsock.Dialer{Controller: ctl, Service: mptcpsock.ServiceHandover}
//	d := mptcpsock.Dialer{Controller: ctl, Hints: mptcpsock.Hints{Amount: 2 << 30}}
//
// The dialling end knows the paths; a listener may at least move what it sends
// off a path that fails:
//
//	lc := mptcpsock.ListenConfig{Controller: ctl, Steering: mptcpsock.SteerBy(policy.Handover)}
//
// # What it does not do
//
// It schedules no packets: the kernel's only scheduler does, and backup flags
// are all that it heeds. Connections that began before the Controller was opened
// belong to the kernel's path manager and are out of its reach. It needs Linux
// 6.1 or later; the Probe functions tell what the running kernel lacks. Errors
// say what is missing, and errors.Is tells: ErrNotPermitted, ErrNotSupported,
// ErrNoController, ErrKernelManaged, ErrSteered, ErrConnected, ErrNotMultipath,
// ErrUnknownSubflow, ErrLastSubflow, ErrAddressFamily and others.
package mptcpsock
