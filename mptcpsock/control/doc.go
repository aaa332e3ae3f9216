// Package control changes the subflows of Multipath TCP connections: it opens and
// closes them, sets priorities and socket options of single ones, adds and removes
// addresses, or leaves all that to a service, a mode that says what several paths
// are for. It gives any program the calls that RFC 6897 (advanced API) and the
// Enhanced Socket API (Hesmans and Bonaventure, ANRW 2016) specified, and Apple's
// service types, on an unpatched kernel. docs/api.md has the table.
//
// Its Dialer, ListenConfig, Listener and Conn are those of package mptcpsock with
// more fields and methods.
//
// # Subflows
//
// What changes subflows goes through a Controller, one in a program, which needs
// CAP_NET_ADMIN in the network namespace. It runs the engine of package pathctl in
// the program's own process:
//
//	ctl, err := control.OpenController(ctx, control.ControllerConfig{})
//	if errors.Is(err, control.ErrNotPermitted) { … } // go on without
//	defer ctl.Close()
//	c, err := (&control.Dialer{Controller: ctl}).DialHost(ctx, "example.net:443")
//	id, err := c.OpenSub(ctx, lte, netip.AddrPort{}, control.Backup)
//	err = c.RemoveAddrs(ctx, wifi)                   // alternatives first, then the peer is told
//	for event, err := range c.Events(ctx) { … }
//
// Options of one subflow (SubSetsockopt, SubGetsockopt) need no Controller, but
// CAP_BPF and CAP_PERFMON besides.
//
// # Services
//
// A Dialer that says what it wants leaves subflows to the policies that the proxy
// uses:
//
//	d := control.Dialer{Controller: ctl, Service: control.ServiceHandover}
//	d := control.Dialer{Controller: ctl, Hints: control.Hints{Amount: 2 << 30}}
//
// The dialling end knows the paths; a listener may at least move what it sends
// off a path that fails:
//
//	lc := control.ListenConfig{Controller: ctl, Steering: control.SteerBy(mode.Handover)}
//
// # What it does not do
//
// It schedules no packets: the kernel's only scheduler does, and backup flags
// are all that it heeds. Connections that began before the Controller was opened
// belong to the kernel's path manager and are out of its reach. Errors say what is
// missing, and errors.Is tells: ErrNotPermitted, ErrNotSupported, ErrNoController,
// ErrKernelManaged, ErrSteered, ErrConnected, ErrNotMultipath, ErrUnknownSubflow,
// ErrLastSubflow, ErrAddressFamily and others.
package control
