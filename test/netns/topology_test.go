package netns

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/test/netns/link"
)

func newTopology(t *testing.T, c Config) *Topology {
	t.Helper()
	Require(t)
	c.Logf = t.Logf
	topo, err := New(testContext(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := topo.Close(); err != nil {
			t.Error(err)
		}
	})
	return topo
}

// echoIn starts an echo server on all addresses of a host; the test waits for
// its end.
func echoIn(t *testing.T, ctx context.Context, h *Host) (port uint16) {
	t.Helper()
	var l net.Listener
	err := h.Do(ctx, func() error {
		var err error
		l, err = net.Listen("tcp", ":0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// roundTrip sends a line and wants it back.
func roundTrip(ctx context.Context, h *Host, to netip.AddrPort, from netip.Addr) error {
	var c net.Conn
	err := h.visit(func() error {
		d := net.Dialer{}
		if from.IsValid() {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		}
		var err error
		c, err = d.DialContext(ctx, "tcp", to.String())
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "hello"); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 5))
	return err
}

func TestTopologyReaches(t *testing.T) {
	ctx := testContext(t)
	topo := newTopology(t, Config{Links: []LinkConfig{
		{Name: "both0"},
		{Name: "four0", V4: true},
		{Name: "six0", V6: true},
	}})
	concentrator, destination := echoIn(t, ctx, topo.Concentrator), echoIn(t, ctx, topo.Destination)
	none := netip.Addr{}
	tests := []struct {
		name string
		host *Host
		to   netip.AddrPort
	}{
		{"client to concentrator, IPv4", topo.Client, netip.AddrPortFrom(topo.Concentrator4, concentrator)},
		{"client to concentrator, IPv6", topo.Client, netip.AddrPortFrom(topo.Concentrator6, concentrator)},
		{"client to destination, IPv4", topo.Client, netip.AddrPortFrom(topo.Destination4, destination)},
		{"client to destination, IPv6", topo.Client, netip.AddrPortFrom(topo.Destination6, destination)},
		{"concentrator to destination, IPv4", topo.Concentrator, netip.AddrPortFrom(topo.Destination4, destination)},
		{"concentrator to destination, IPv6", topo.Concentrator, netip.AddrPortFrom(topo.Destination6, destination)},
	}
	for _, tt := range tests {
		if err := roundTrip(ctx, tt.host, tt.to, none); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	four, six := topo.Links[1], topo.Links[2]
	if four.Client6.IsValid() || six.Client4.IsValid() || !four.Client4.IsValid() || !six.Client6.IsValid() {
		t.Errorf("families: %v %v, %v %v", four.Client4, four.Client6, six.Client4, six.Client6)
	}
	// Nobody is there, and nothing leaves the topology.
	err := roundTrip(ctx, topo.Concentrator, netip.MustParseAddrPort("198.51.100.200:80"), none)
	if !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("an address that no host has: %v, want ENETUNREACH", err)
	}
}

// The second link works for what is bound to its interface, and is of no use to
// what is only bound to its address, as long as nobody makes source routing rules.
func TestSecondLinkNeedsSourceRouting(t *testing.T) {
	ctx := testContext(t)
	topo := newTopology(t, Config{Links: []LinkConfig{{Name: "dsl0"}, {Name: "lte0"}}})
	port := echoIn(t, ctx, topo.Concentrator)
	second := topo.Links[1]
	for _, tt := range []struct {
		to, from netip.Addr
	}{
		{topo.Concentrator4, second.Client4},
		{topo.Concentrator6, second.Client6},
	} {
		to := netip.AddrPortFrom(tt.to, port)
		before := second.Counters(Upstream).Offered
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		err := roundTrip(short, topo.Client, to, tt.from)
		cancel()
		if err == nil {
			t.Errorf("from %v to %v without rules: came through", tt.from, to)
		}
		if after := second.Counters(Upstream).Offered; after-before > 5 { // neighbour discovery only
			t.Errorf("from %v: %d frames over the second link without rules", tt.from, after-before)
		}
		err = topo.Client.visit(func() error {
			d := net.Dialer{
				LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(tt.from, 0)),
				Control: func(_, _ string, rc syscall.RawConn) error {
					var err error
					return errors.Join(rc.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), second.Name) }), err)
				},
			}
			c, err := d.DialContext(ctx, "tcp", to.String())
			if err != nil {
				return err
			}
			return c.Close()
		})
		if err != nil {
			t.Errorf("from %v to %v over %s: %v", tt.from, to, second.Name, err)
		}
	}
}

func TestTopologyShaped(t *testing.T) {
	ctx := testContext(t)
	const delay = 15 * time.Millisecond
	topo := newTopology(t, Config{Links: []LinkConfig{
		{Name: "dsl0", Params: link.Params{Rate: 20 * link.Mbit, Delay: delay}, Up: &link.Params{Rate: 5 * link.Mbit}},
	}})
	l := topo.Links[0]
	if got, want := l.Params(Upstream).Rate, 5*link.Mbit; got != want {
		t.Errorf("rate upstream %d, want %d", got, want)
	}
	if l.Kind() == link.Veth {
		t.Skipf("the link is a plain pair (%s)", link.EnvKind)
	}
	port := echoIn(t, ctx, topo.Concentrator)
	to := netip.AddrPortFrom(topo.Concentrator4, port)
	start := time.Now()
	if err := roundTrip(ctx, topo.Client, to, netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	// ARP, the handshake and the echo each cross the slow direction.
	if took := time.Since(start); took < 2*delay {
		t.Errorf("connect and echo took %v over a link with %v in one direction", took, delay)
	}
	if err := l.SetBlackhole(true); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	if err := roundTrip(short, topo.Client, to, netip.Addr{}); err == nil {
		t.Error("came through a black hole")
	}
	if err := l.SetBlackhole(false); err != nil {
		t.Fatal(err)
	}
	if err := roundTrip(ctx, topo.Client, to, netip.Addr{}); err != nil {
		t.Errorf("after the black hole: %v", err)
	}
}

func TestConfigErrors(t *testing.T) {
	Require(t)
	for name, c := range map[string]Config{
		"too many links":  {Links: make([]LinkConfig, MaxLinks+1)},
		"same name twice": {Links: []LinkConfig{{Name: "x0"}, {Name: "x0"}}},
		"long name":       {Links: []LinkConfig{{Name: "a-name-of-more-than-15"}}},
		"negative rate":   {Links: []LinkConfig{{Name: "x0", Params: link.Params{Rate: -1}}}},
		"shaped veth":     {Links: []LinkConfig{{Name: "x0", Kind: link.Veth, Params: link.Params{Rate: 1000}}}},
	} {
		topo, err := New(testContext(t), c)
		if err == nil {
			t.Errorf("%s: no error", name)
			topo.Close()
		}
	}
}

func TestAddressesOfAllLinks(t *testing.T) {
	seen := map[netip.Prefix]int{}
	for i := range MaxLinks {
		v4, v6 := linkNet(i)
		for _, p := range []netip.Prefix{v4, v6} {
			if j, ok := seen[p]; ok {
				t.Errorf("links %d and %d share %v", i, j, p)
			}
			seen[p] = i
			for _, service := range []netip.Prefix{concentrator4, concentrator6, destination4, destination6} {
				if p.Overlaps(service.Masked()) {
					t.Errorf("link %d: %v overlaps %v", i, p, service)
				}
			}
		}
	}
}

func TestDisconnectAndConnect(t *testing.T) {
	ctx := testContext(t)
	topo := newTopology(t, Config{Links: []LinkConfig{
		{Name: "dsl0", Params: link.Params{Rate: 100 * link.Mbit}},
		{Name: "lte0"},
	}})
	port := echoIn(t, ctx, topo.Concentrator)
	first, second := topo.Links[0], topo.Links[1]
	for _, to := range []netip.Addr{topo.Concentrator4, topo.Concentrator6} {
		if err := first.Disconnect(ctx); err != nil {
			t.Fatal(err)
		}
		before := second.Counters(Upstream).Offered
		if err := roundTrip(ctx, topo.Client, netip.AddrPortFrom(to, port), netip.Addr{}); err != nil {
			t.Errorf("%v over the second link: %v", to, err)
		}
		if after := second.Counters(Upstream).Offered; after < before+4 {
			t.Errorf("%v: %d frames over the second link", to, after-before)
		}
		if err := first.Connect(ctx); err != nil {
			t.Fatal(err)
		}
		before = first.Counters(Upstream).Offered
		if err := roundTrip(ctx, topo.Client, netip.AddrPortFrom(to, port), netip.Addr{}); err != nil {
			t.Errorf("%v over the first link again: %v", to, err)
		}
		if after := first.Counters(Upstream).Offered; after < before+4 {
			t.Errorf("%v: %d frames over the first link again", to, after-before)
		}
	}
}
