package mptcpsock

import (
	"io"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/test/veth"
)

// Addresses of the two-link topology.
const (
	client4, server4   = "192.0.2.1", "192.0.2.2"
	client4b           = "192.0.2.3"
	client6, server6   = "2001:db8:1::1", "2001:db8:1::2"
	client24, server24 = "198.51.100.1", "198.51.100.2"
	client26, server26 = "2001:db8:2::1", "2001:db8:2::2"
)

// twoLinks lays two links between a client and a server host.
func twoLinks(t testing.TB) (client, server veth.Namespace) {
	t.Helper()
	client, server = veth.New(t), veth.New(t)
	for _, link := range []struct{ name, client4, server4, client6, server6 string }{
		{"link1", client4, server4, client6, server6},
		{"link2", client24, server24, client26, server26},
	} {
		veth.Connect(t, client, server, link.name)
		client.AddAddr(t, link.name, link.client4+"/24")
		server.AddAddr(t, link.name, link.server4+"/24")
		client.AddAddr(t, link.name, link.client6+"/64")
		server.AddAddr(t, link.name, link.server6+"/64")
	}
	client.AddAddr(t, "link1", client4b+"/24")
	for _, ns := range []veth.Namespace{client, server} {
		ns.Limits(t, 4)
	}
	return client, server
}

// ends are the addresses of a subflow, without ports.
type ends struct{ Local, Remote string }

// TestSubflows lets the in-kernel path manager add subflows of either family to
// connections of either family, and reads them at both ends and in both ways.
func TestSubflows(t *testing.T) {
	needMPTCP(t)
	for _, tt := range []struct {
		name     string
		to       string
		endpoint string // of the client, flag subflow
		signal   string // of the server, flag signal
		want     []ends // of the client
	}{
		{"IPv4, client's second IPv4 address", server4, client4b, "", []ends{{client4, server4}, {client4b, server4}}},
		{"IPv4, server announces IPv4", server4, "", server24, []ends{{client4, server4}, {client24, server24}}},
		{"IPv4, server announces IPv6", server4, "", server26, []ends{{client4, server4}, {client26, server26}}},
		{"IPv6, server announces IPv4", server6, "", server24, []ends{{client6, server6}, {client24, server24}}},
		{"IPv6, server announces IPv6", server6, "", server26, []ends{{client6, server6}, {client26, server26}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, server := twoLinks(t)
			if tt.endpoint != "" {
				client.Endpoint(t, tt.endpoint, veth.Subflow)
			}
			if tt.signal != "" {
				server.Endpoint(t, tt.signal, veth.Signal)
			}
			var ln *Listener
			server.Do(t, func() { ln = listen(t, ListenConfig{Strict: true}, "[::]:0") })
			var c, s *Conn
			client.Do(t, func() {
				to := netip.AddrPortFrom(netip.MustParseAddr(tt.to), ln.Addr().Port())
				source := netip.MustParseAddr(tt.want[0].Local)
				c, s = connect(t, Dialer{Strict: true, LocalAddr: source}, ln, to)
			})
			if local, remote := c.LocalAddrPort(), c.RemoteAddrPort(); local != s.RemoteAddrPort() || remote != s.LocalAddrPort() {
				t.Errorf("client %v → %v, server %v → %v", local, remote, s.LocalAddrPort(), s.RemoteAddrPort())
			}
			exchangeUntil(t, c, s, func() bool { return established(t, c) == 2 && established(t, s) == 2 })

			full, err := c.subflowsFullInfo()
			if ProbeFullInfo() == nil {
				must(t, err)
				checkSubflows(t, full, tt.want, true)
			}
			two, err := c.subflowsTwoCalls()
			must(t, err)
			checkSubflows(t, two, tt.want, false)

			mirrored := make([]ends, len(tt.want))
			for i, e := range tt.want {
				mirrored[i] = ends{Local: e.Remote, Remote: e.Local}
			}
			all, err := s.Subflows()
			must(t, err)
			checkSubflows(t, all, mirrored, ProbeFullInfo() == nil)

			info, err := c.Info()
			must(t, err)
			if info.Subflows != 1 || info.SubflowsTotalKnown && info.SubflowsTotal != 2 || info.Token == 0 {
				t.Errorf("info %+v", info)
			}
			if info.CountersKnown && (info.BytesSent == 0 || info.BytesReceived == 0) {
				t.Errorf("no bytes counted: %+v", info)
			}
		})
	}
}

// exchangeUntil sends bytes to and fro, once at least, until done: the kernel may
// need some before it joins subflows.
func exchangeUntil(t *testing.T, c, s *Conn, done func() bool) {
	t.Helper()
	b := make([]byte, 1)
	for first := true; first || !done(); first = false {
		for _, step := range []func() error{
			func() error { _, err := c.Write(b); return err },
			func() error { _, err := io.ReadFull(s, b); return err },
			func() error { _, err := s.Write(b); return err },
			func() error { _, err := io.ReadFull(c, b); return err },
		} {
			if err := step(); err != nil {
				subflows, _ := c.Subflows()
				t.Fatalf("%v, with subflows %+v", err, subflows)
			}
		}
	}
}

// established counts the established subflows.
func established(t testing.TB, c *Conn) int {
	t.Helper()
	subflows, err := c.Subflows()
	must(t, err)
	n := 0
	for _, s := range subflows {
		if s.TCP.State == uapi.TCPEstablished {
			n++
		}
	}
	return n
}

func checkSubflows(t *testing.T, got []Subflow, want []ends, ids bool) {
	t.Helper()
	var gotEnds []ends
	seen := map[uapi.SubflowID]bool{}
	for _, s := range got {
		gotEnds = append(gotEnds, ends{Local: s.Local.Addr().String(), Remote: s.Remote.Addr().String()})
		if s.IDKnown != ids || ids && seen[s.ID] {
			t.Errorf("id %d, known %v, seen before %v", s.ID, s.IDKnown, seen[s.ID])
		}
		seen[s.ID] = true
		if s.Local.Port() == 0 || s.Remote.Port() == 0 {
			t.Errorf("no port: %v → %v", s.Local, s.Remote)
		}
		if s.TCP.RTT <= 0 || s.TCP.RTO <= 0 || s.TCP.SndMSS == 0 {
			t.Errorf("no TCP state: %+v", s.TCP)
		}
	}
	if diff := cmp.Diff(want, gotEnds, cmpopts.SortSlices(func(a, b ends) bool { return a.Local < b.Local })); diff != "" {
		t.Error(diff)
	}
}

// TestManySubflows begins with a buffer that has no room, as a connection with
// more subflows than expected would find it.
func TestManySubflows(t *testing.T) {
	needMPTCP(t)
	c, _ := connectLoopback(t, Dialer{Strict: true})
	if err := ProbeFullInfo(); err != nil {
		t.Skip(err)
	}
	small := newFullInfoBuffer(0)
	full, err := small.read(c)
	must(t, err)
	if full.Subflows != 1 || full.Subflows <= small.room() {
		t.Errorf("%d subflows in room for %d", full.Subflows, small.room())
	}
	fullInfoBuffers.Put(small)
	subflows, err := c.subflowsFullInfo()
	must(t, err)
	if len(subflows) != 1 {
		t.Errorf("%d subflows", len(subflows))
	}
}

// connectLoopback connects over 127.0.0.1.
func connectLoopback(t testing.TB, d Dialer) (client, server *Conn) {
	t.Helper()
	ln := listen(t, ListenConfig{}, "127.0.0.1:0")
	return connect(t, d, ln, ln.Addr())
}

// TestAfterClose checks that questions about closed connections are refused.
func TestAfterClose(t *testing.T) {
	needMPTCP(t)
	c, _ := connectLoopback(t, Dialer{})
	plain := &Conn{TCPConn: c.TCPConn, local: FallbackDisabled}
	must(t, c.Close())
	for name, ask := range map[string]func() error{
		"IsMultipath":       func() error { _, err := c.IsMultipath(); return err },
		"Token":             func() error { _, err := c.Token(); return err },
		"Info":              func() error { _, err := c.Info(); return err },
		"Subflows":          func() error { _, err := c.Subflows(); return err },
		"Fallback":          func() error { _, err := c.Fallback(); return err },
		"IsMultipath plain": func() error { _, err := plain.IsMultipath(); return err },
		"Fallback plain":    func() error { _, err := plain.Fallback(); return err },
		"Subflows plain":    func() error { _, err := plain.Subflows(); return err },
	} {
		if err := ask(); !isClosed(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNumbering: where the kernel gives no ids, ours stay with the subflow.
func TestNumbering(t *testing.T) {
	sub := func(port uint16) Subflow {
		return Subflow{Local: netip.AddrPortFrom(netip.MustParseAddr(client4), port), Remote: netip.AddrPortFrom(netip.MustParseAddr(server4), 80)}
	}
	var n numbering
	for _, tt := range []struct {
		ports []uint16
		want  []uapi.SubflowID
	}{
		{[]uint16{1000}, []uapi.SubflowID{1}},
		{[]uint16{1000, 1001, 1002}, []uapi.SubflowID{1, 2, 3}},
		{[]uint16{1002, 1000}, []uapi.SubflowID{3, 1}},
		{[]uint16{1000, 1001}, []uapi.SubflowID{1, 4}}, // another one on the same ports
	} {
		var subs []Subflow
		for _, p := range tt.ports {
			subs = append(subs, sub(p))
		}
		n.number(subs)
		var got []uapi.SubflowID
		for _, s := range subs {
			got = append(got, s.ID)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("ports %v (-want +got):\n%s", tt.ports, diff)
		}
	}
}
