package mptcppm

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/test/linux"
)

// world is a connection between two hosts, with a client of the path manager
// and an events socket on each.
type world struct {
	client, server struct {
		*Client
		*watcher
		conn  *net.TCPConn
		first Event // established
	}
	listener *net.TCPListener
}

// newWorld listens at the server and connects from the client to the address.
func newWorld(t testing.TB, network, listenOn, to string) *world {
	t.Helper()
	h := newHosts(t)
	w := new(world)
	w.client.Client, w.client.watcher = dialClient(t), watch(t)
	h.onServer(t, func() {
		w.server.Client, w.server.watcher = dialClient(t), watch(t)
		w.listener = listen(t, network, listenOn)
	})
	port := w.listener.Addr().(*net.TCPAddr).AddrPort().Port()
	w.client.conn = dial(t, netip.AddrPortFrom(addr(to), port))
	w.server.conn = accept(t, w.listener, w.client.conn)
	w.client.first = w.client.established(t, false)
	w.server.first = w.server.established(t, true)
	return w
}

// TestKernelSubflows takes one connection through everything that user space can
// do to it, and looks at what both ends are told.
func TestKernelSubflows(t *testing.T) {
	for _, tt := range []struct {
		name, network, listen  string
		to                     string
		clientAddr, serverAddr string // of link 2
		mapped                 bool   // the server sees v4-mapped addresses
	}{
		{"ipv4", "tcp4", "0.0.0.0:0", "192.0.2.2", "198.51.100.1", "198.51.100.2", false},
		{"ipv6", "tcp6", "[::]:0", "2001:db8:1::2", "2001:db8:2::1", "2001:db8:2::2", false},
		{"mapped", "tcp", "[::]:0", "192.0.2.2", "198.51.100.1", "198.51.100.2", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.network, tt.listen, tt.to)
			w.checkFirst(t, tt.mapped)
			w.announce(t, addr(tt.serverAddr))
			w.subflow(t, addr(tt.clientAddr), addr(tt.serverAddr))
			w.withdraw(t, addr(tt.clientAddr), addr(tt.serverAddr))
			w.end(t)
		})
	}
}

// checkFirst looks at the events of the connection itself.
func (w *world) checkFirst(t *testing.T, mapped bool) {
	t.Helper()
	c, s := w.client.first, w.server.first
	created := w.client.of(t, EventCreated, c.Token)
	if created.Local != c.Local || created.Remote != c.Remote || created.ServerSide {
		t.Errorf("created as %v, established as %v", created, c)
	}
	if got := w.server.of(t, EventCreated, s.Token); !got.ServerSide {
		t.Errorf("server's end was created as %v", got)
	}
	if got, want := c.Local, tcpAddr(w.client.conn.LocalAddr()); got != want {
		t.Errorf("client's local end is %v, want %v", got, want)
	}
	if unmap(c.Local) != unmap(s.Remote) || unmap(c.Remote) != unmap(s.Local) {
		t.Errorf("the ends disagree: %v and %v", c, s)
	}
	if s.Local.Addr().Is4In6() != mapped {
		t.Errorf("server's address is %v, want mapped = %t", s.Local, mapped)
	}
	if !linux.ListenerEvents() {
		return
	}
	l := w.server.await(t, "listener", func(e Event) bool { return e.Kind == EventListenerCreated })
	if got, want := l.Local, w.listener.Addr().(*net.TCPAddr).AddrPort(); got != want || l.Has(HasToken) {
		t.Errorf("listener event %v, want one without token on %v", l, want)
	}
}

// announce makes the server tell the client its second address, with id 7.
func (w *world) announce(t *testing.T, second netip.Addr) {
	t.Helper()
	must(t, w.server.Announce(testContext(t), w.server.first.Token, Endpoint{ID: 7, Addr: second}))
	got := w.client.of(t, EventAnnounced, w.client.first.Token)
	if want := netip.AddrPortFrom(second, w.client.first.Remote.Port()); got.RemoteID != 7 || got.Remote != want {
		t.Errorf("client heard %v, want id 7 at %v", got, want)
	}
}

// create opens a subflow with local id 3 to an address of the server's that has
// remoteID, and returns its event at each end.
func (w *world) create(t testing.TB, from, to netip.Addr, remoteID uapi.AddrID, flags Flags) (client, server Event) {
	t.Helper()
	ctx := testContext(t)
	remote := netip.AddrPortFrom(to, w.client.first.Remote.Port())
	must(t, w.client.CreateSubflow(ctx, w.client.first.Token, Endpoint{ID: 3, Addr: from, Flags: flags}, remote))
	client = w.client.of(t, EventSubflowEstablished, w.client.first.Token)
	server = w.server.of(t, EventSubflowEstablished, w.server.first.Token)
	if client.LocalID != 3 || client.RemoteID != remoteID || client.Local.Addr() != from || client.Remote != remote {
		t.Errorf("client's subflow is %v, want ids 3 and %d from %v to %v", client, remoteID, from, remote)
	}
	if server.RemoteID != 3 || unmap(server.Remote) != unmap(client.Local) || unmap(server.Local) != unmap(client.Remote) {
		t.Errorf("server's subflow is %v, client's %v", server, client)
	}
	return client, server
}

// subflow creates subflows, changes their priority from both ends and destroys
// them from both ends.
func (w *world) subflow(t *testing.T, from, to netip.Addr) {
	t.Helper()
	ctx := testContext(t)
	ct, st := w.client.first.Token, w.server.first.Token
	c, s := w.create(t, from, to, 7, 0)
	if s.Backup {
		t.Errorf("a normal subflow came as backup: %v", s)
	}
	for _, backup := range []bool{true, false} {
		must(t, w.client.SetSubflowBackup(ctx, ct, c.Local, c.Remote, backup))
		if got := w.server.of(t, EventSubflowPriority, st); got.Backup != backup || got.Local != s.Local || got.Remote != s.Remote {
			t.Errorf("server heard %v, want backup=%t of %v", got, backup, s)
		}
		must(t, w.server.SetSubflowBackup(ctx, st, s.Local, s.Remote, backup))
		if got := w.client.of(t, EventSubflowPriority, ct); got.Backup != backup || got.Local != c.Local {
			t.Errorf("client heard %v, want backup=%t of %v", got, backup, c)
		}
	}
	must(t, w.client.DestroySubflow(ctx, ct, c.Local, c.Remote))
	w.closed(t, c, s)

	c, s = w.create(t, from, to, 7, FlagBackup)
	if !s.Backup && linux.Since(6, 12) { // 6.1 ignores the flag
		t.Errorf("a backup subflow came as %v", s)
	}
	w.destroyUnmapped(t, s)
	must(t, w.server.DestroySubflow(ctx, st, s.Local, s.Remote))
	w.closed(t, c, s)
	pingPong(t, w.client.conn, w.server.conn)
}

// destroyUnmapped: the kernel wants v4-mapped addresses back as it gave them.
func (w *world) destroyUnmapped(t *testing.T, s Event) {
	t.Helper()
	if s.Local.Addr().Is4In6() {
		err := w.server.DestroySubflow(testContext(t), s.Token, unmap(s.Local), unmap(s.Remote))
		checkError(t, err, ErrNotFound, nil, syscall.ESRCH)
	}
}

// closed waits until both ends were told that a subflow is gone.
func (w *world) closed(t *testing.T, client, server Event) {
	t.Helper()
	if got := w.client.of(t, EventSubflowClosed, client.Token); got.Local != client.Local || got.Remote != client.Remote {
		t.Errorf("client was told of %v, want %v", got, client)
	}
	if got := w.server.of(t, EventSubflowClosed, server.Token); got.Local != server.Local || got.Remote != server.Remote {
		t.Errorf("server was told of %v, want %v", got, server)
	}
}

// withdraw takes addresses back at both ends, the client's with its subflow.
// With the subflow that the server destroyed, its kernel forgot the id 7, and
// gives the address another one when the next subflow comes.
//
// It announces nothing before it removes: while an ADD_ADDR or its echo waits for
// a packet, the kernel drops an RM_ADDR (mptcp_pm_remove_addr in net/mptcp/pm.c,
// counted as RmAddrTxDrop) and reports success.
func (w *world) withdraw(t *testing.T, from, to netip.Addr) {
	t.Helper()
	ctx := testContext(t)
	checkError(t, w.server.Remove(ctx, w.server.first.Token, 7), ErrNotFound, nil, syscall.EINVAL)
	c, s := w.create(t, from, to, 1, 0)
	pingPong(t, w.client.conn, w.server.conn) // whatever waits for a packet goes now
	pingPong(t, w.server.conn, w.client.conn)
	must(t, w.client.Remove(ctx, c.Token, 3))
	if got := w.server.of(t, EventRemoved, s.Token); got.RemoteID != 3 || !got.Has(HasRemoteID) {
		t.Errorf("server heard %v, want id 3", got)
	}
	w.closed(t, c, s)
	must(t, w.server.Remove(ctx, s.Token, 1))
	if got := w.client.of(t, EventRemoved, c.Token); got.RemoteID != 1 {
		t.Errorf("client heard %v, want id 1", got)
	}
}

func (w *world) end(t *testing.T) {
	t.Helper()
	must(t, w.client.conn.Close())
	must(t, w.server.conn.Close())
	w.client.of(t, EventClosed, w.client.first.Token)
	w.server.of(t, EventClosed, w.server.first.Token)
	port := w.listener.Addr().(*net.TCPAddr).AddrPort()
	must(t, w.listener.Close())
	if !linux.ListenerEvents() {
		return
	}
	w.server.await(t, "listener's end", func(e Event) bool {
		return e.Kind == EventListenerClosed && e.Local == port
	})
}

// TestKernelSubflowErrors holds the classification of answers against the
// running kernel, for a connection of the user-space path manager.
func TestKernelSubflowErrors(t *testing.T) {
	w := newWorld(t, "tcp4", "0.0.0.0:0", "192.0.2.2")
	ctx := testContext(t)
	token, remote := w.client.first.Token, w.client.first.Remote
	second := Endpoint{ID: 3, Addr: addr("198.51.100.1")}
	must(t, w.client.Announce(ctx, token, second))
	create := func(local Endpoint, remote netip.AddrPort) func() error {
		return func() error { return w.client.CreateSubflow(ctx, token, local, remote) }
	}
	for _, tt := range []struct {
		name  string
		do    func() error
		kind  error
		errno syscall.Errno
	}{
		{"announce: address has another id", func() error {
			return w.client.Announce(ctx, token, Endpoint{ID: 4, Addr: second.Addr})
		}, ErrInvalid, syscall.EINVAL},
		{"announce: id has another address", func() error {
			return w.client.Announce(ctx, token, Endpoint{ID: 3, Addr: addr("192.0.2.1")})
		}, ErrInvalid, syscall.EINVAL},
		{"remove: unknown id", func() error { return w.client.Remove(ctx, token, 99) }, ErrNotFound, syscall.EINVAL},
		{"create: id has another address", create(Endpoint{ID: 3, Addr: addr("192.0.2.1")}, remote), ErrInvalid, syscall.EINVAL},
		{"create: families differ", create(Endpoint{ID: 5, Addr: addr("2001:db8:2::1")}, remote), ErrInvalid, syscall.EINVAL},
		{"create: family is not the connection's", create(Endpoint{ID: 5, Addr: addr("2001:db8:2::1")}, ap("[2001:db8:2::2]:80")), ErrInvalid, syscall.EINVAL},
		{"create: address is not here", create(Endpoint{ID: 5, Addr: addr("203.0.113.1")}, remote), nil, syscall.EADDRNOTAVAIL},
		{"create: no route", create(second, ap("203.0.113.1:80")), nil, syscall.ENETUNREACH},
		{"create: no interface", create(Endpoint{ID: 3, Addr: second.Addr, IfIndex: 9999}, remote), nil, syscall.ENODEV},
		{"create: no port", create(second, netip.AddrPortFrom(remote.Addr(), 0)), ErrInvalid, 0},
		{"create: id 0", create(Endpoint{Addr: second.Addr}, remote), ErrInvalid, 0},
		{"create: zone", create(Endpoint{ID: 5, Addr: addr("fe80::1%link2")}, remote), ErrInvalid, 0},
		{"destroy: unknown", func() error {
			return w.client.DestroySubflow(ctx, token, ap("192.0.2.1:1"), remote)
		}, ErrNotFound, syscall.ESRCH},
		{"backup: unknown", func() error {
			return w.client.SetSubflowBackup(ctx, token, ap("192.0.2.1:1"), remote, true)
		}, ErrNotFound, syscall.EINVAL},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "create: no interface" && !linux.Since(6, 12) {
				t.Skip("Linux 6.1 ignores the interface")
			}
			checkError(t, tt.do(), tt.kind, nil, tt.errno)
		})
	}
}

// TestKernelRefusedSubflow: the outcome of a subflow that is refused comes as an
// event with the reason.
func TestKernelRefusedSubflow(t *testing.T) {
	w := newWorld(t, "tcp4", "192.0.2.2:0", "192.0.2.2")
	remote := netip.AddrPortFrom(addr("198.51.100.2"), 9)
	must(t, w.client.CreateSubflow(testContext(t), w.client.first.Token, Endpoint{ID: 3, Addr: addr("198.51.100.1")}, remote))
	got := w.client.of(t, EventSubflowClosed, w.client.first.Token)
	if got.Errno != syscall.ECONNREFUSED || got.Remote != remote || got.LocalID != 3 {
		t.Errorf("got %v, want a refusal of %v", got, remote)
	}
}

// TestKernelTokenErrors: unknown tokens, and connections that the in-kernel path
// manager owns.
func TestKernelTokenErrors(t *testing.T) {
	newNetNS(t)
	c, w := dialClient(t), watch(t)
	l := listen(t, "tcp4", "127.0.0.1:0")
	accept(t, l, dial(t, tcpAddr(l.Addr())))
	checkTokenCommands(t, c, noToken, ErrNoConnection)
	checkTokenCommands(t, c, w.established(t, false).Token, ErrNotUserspace)
}

func checkTokenCommands(t *testing.T, c *Client, token uapi.Token, want error) {
	t.Helper()
	ctx := testContext(t)
	local, remote := ap("127.0.0.1:4000"), ap("127.0.0.1:4001")
	e := Endpoint{ID: 3, Addr: local.Addr()}
	for name, err := range map[string]error{
		"announce": c.Announce(ctx, token, e),
		"remove":   c.Remove(ctx, token, 3),
		"create":   c.CreateSubflow(ctx, token, e, remote),
		"destroy":  c.DestroySubflow(ctx, token, local, remote),
		"backup":   c.SetSubflowBackup(ctx, token, local, remote, true),
	} {
		want := want
		if name == "backup" && !linux.Since(6, 12) {
			want = ErrNotFound // 6.1 does not say what it has not found
		}
		t.Run(want.Error()+"/"+name, func(t *testing.T) { checkError(t, err, want, nil, syscall.EINVAL) })
	}
}

func tcpAddr(a net.Addr) netip.AddrPort { return unmap(a.(*net.TCPAddr).AddrPort()) }

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func TestKernelLocalAddrs(t *testing.T) {
	w := newWorld(t, "tcp4", "0.0.0.0:0", "192.0.2.2")
	ctx := testContext(t)
	token := w.client.first.Token
	for _, e := range []Endpoint{{ID: 3, Addr: addr("198.51.100.1")}, {ID: 5, Addr: addr("192.0.2.1"), Port: 4000}} {
		must(t, w.client.Announce(ctx, token, e))
	}
	got, err := w.client.LocalAddrs(ctx, token)
	if errors.Is(err, ErrNotSupported) && !kernelHasPathManagerName() {
		t.Skip(err)
	}
	must(t, err)
	t.Log(got)
	if len(got) != 2 || got[0].ID != 3 || got[0].Addr != addr("198.51.100.1") || got[1].ID != 5 || got[1].Port != 4000 {
		t.Errorf("got %v, want ids 3 and 5", got)
	}
	_, err = localAddrsInKernel(t)
	checkError(t, err, ErrNotUserspace, nil, syscall.EINVAL)
	_, err = w.client.LocalAddrs(ctx, noToken)
	checkError(t, err, ErrNoConnection, nil, syscall.EINVAL)
}

// localAddrsInKernel asks for the addresses of a connection of the in-kernel path
// manager, in a namespace of its own.
func localAddrsInKernel(t *testing.T) ([]Endpoint, error) {
	t.Helper()
	newNetNS(t)
	c, w := dialClient(t), watch(t)
	l := listen(t, "tcp4", "127.0.0.1:0")
	accept(t, l, dial(t, tcpAddr(l.Addr())))
	return c.LocalAddrs(testContext(t), w.established(t, false).Token)
}

// TestKernelEventsElsewhere: a token and its events belong to one namespace.
func TestKernelEventsElsewhere(t *testing.T) {
	w := newWorld(t, "tcp4", "0.0.0.0:0", "192.0.2.2")
	_, err := w.client.LocalAddrs(testContext(t), w.server.first.Token)
	if err == nil {
		t.Error("the server's token is known at the client")
	}
	for _, e := range w.client.seen {
		if e.ServerSide {
			t.Errorf("client heard the server's %v", e)
		}
	}
}

// TestEventsLeftOut: a socket that leaves out a kind gets the others.
func TestEventsLeftOut(t *testing.T) {
	h := newHosts(t)
	cfg := &Config{Without: []EventKind{EventListenerCreated, EventCreated}}
	few, err := DialEvents(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer few.Close()
	var l *net.TCPListener
	h.onServer(t, func() { l = listen(t, "tcp4", "0.0.0.0:0") })
	conn := dial(t, netip.AddrPortFrom(addr("192.0.2.2"), l.Addr().(*net.TCPAddr).AddrPort().Port()))
	accept(t, l, conn)
	ev, err := few.Receive(testContext(t))
	if err != nil || ev.Kind != EventEstablished {
		t.Errorf("first event %v, %v: want that the connection is established", ev, err)
	}
}
