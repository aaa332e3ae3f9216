// Package mptcpsock is Multipath TCP sockets as a Go API: dial and listen, know
// whether a connection really is multipath, and read what the kernel knows about
// it and its subflows. It needs no privilege and pulls in neither netlink nor
// eBPF. Package control, below this one, opens and closes subflows. docs/api.md
// lists the calls that each specification asks for.
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
// A host with several ways to the Internet names them: Dialer.Sources are raced.
// Race does the same for attempts of any kind.
//
// # Subflows
//
// SubIDs, SubTuple, Pairs, ConnID, Enabled, Stats, SubTCPInfo and Events read what
// RFC 6897 (basic API) and the Enhanced Socket API (Hesmans and Bonaventure, ANRW
// 2016) want to be readable.
//
// # What it does not do
//
// It changes no subflow: package control does. It schedules no packets: the
// kernel's only scheduler does. It needs Linux 6.1 or later; the Probe functions
// tell what the running kernel lacks. Errors say what is missing, and errors.Is
// tells: ErrNotSupported, ErrDisabled, ErrDenied, ErrNotMultipath,
// ErrUnknownSubflow, ErrConnected, ErrAddressFamily, ErrInvalid.
package mptcpsock
