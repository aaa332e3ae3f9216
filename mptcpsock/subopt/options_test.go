package subopt_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock/subopt"
	"mpproxy/test/conns"
	"mpproxy/test/linux"
)

// ticks is a time that is a whole number of ticks at every CONFIG_HZ.
const ticks = 40 * time.Millisecond

// TestOptions sets each option on each of four ends, one after the other, to
// another value, and reads all back afterwards, so that one that reached another
// subflow shows.
func TestOptions(t *testing.T) {
	numbers := func(n ...uint32) (v [4]subopt.Value) {
		for i := range n {
			v[i] = subopt.Number(n[i])
		}
		return v
	}
	times := func(unit time.Duration) (v [4]subopt.Value) {
		for i := range v {
			v[i] = subopt.Duration(time.Duration(i+1) * unit)
		}
		return v
	}
	values := map[subopt.Option][4]subopt.Value{
		subopt.Congestion:    {subopt.Text("bbr"), subopt.Text("reno"), subopt.Text("cubic"), subopt.Text("reno")},
		subopt.Mark:          numbers(1, 0xffffffff, 3, 4),
		subopt.MinRTO:        times(ticks),
		subopt.MaxDelayedAck: times(ticks),
		subopt.UserTimeout:   times(7 * time.Second),
		subopt.Priority:      numbers(1, 2, 3, 4),
		subopt.PacingRate:    numbers(1_000_000, 2_000_000, 3_000_000, 0xffffffff),
		subopt.NotSentLowat:  numbers(10_000, 20_000, 30_000, 40_000),
	}
	for _, family := range []string{"IPv4", "IPv6"} {
		t.Run(family, func(t *testing.T) {
			w := newWorld(t, family)
			setters := map[bool]*subopt.Setter{false: open(t, w.client), true: open(t, w.server)}
			p := w.dial(t, family, w.listen(t, netip.AddrPortFrom(netip.IPv6Unspecified(), port)))
			ctx := testContext(t)
			for o, v := range values {
				for i, e := range p.ends(t) {
					must(t, setters[e.server].Set(ctx, e.local, e.remote, o, v[i]))
				}
			}
			for o, v := range values {
				for i, e := range p.ends(t) {
					if got, err := setters[e.server].Get(ctx, e.local, e.remote, o); err != nil || got != v[i] {
						t.Errorf("%v: %v is %v, %v, want %v", e, o, got, err, v[i])
					}
				}
			}
			for i, e := range p.ends(t) {
				want := diagnosis{congestion: values[subopt.Congestion][i].Text(), mark: values[subopt.Mark][i].Number()}
				if got := w.diagnose(t, e); got != want {
					t.Errorf("%v: the kernel has %+v, want %+v", e, got, want)
				}
			}
		})
	}
}

// TestTypeOfService sets it on each kind of socket: a dual-stack dialer's first
// subflow over IPv4 is an IPv6 socket, its joins over IPv4 are IPv4 sockets, and
// what a listener accepts is of the listener's kind. It must be in the packets.
func TestTypeOfService(t *testing.T) {
	for _, tt := range []struct{ name, family, listen string }{
		{"IPv4, dual-stack listener", "IPv4", "::"},
		{"IPv4, IPv4 listener", "IPv4", "0.0.0.0"},
		{"IPv6", "IPv6", "::"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.family)
			setters := map[bool]*subopt.Setter{false: open(t, w.client), true: open(t, w.server)}
			p := w.dial(t, tt.family, w.listen(t, netip.AddrPortFrom(addr(tt.listen), port)))
			ctx := testContext(t)
			for i, e := range p.ends(t) {
				class := uint8(0x20 + 4*i)
				err := setters[e.server].Set(ctx, e.local, e.remote, subopt.TOS, subopt.Number(uint32(class)))
				if mayLackTOS(tt.family, err) {
					t.Log(err)
					continue
				}
				must(t, err)
				if got, err := setters[e.server].Get(ctx, e.local, e.remote, subopt.TOS); err != nil || got != subopt.Number(uint32(class)) {
					t.Errorf("%v: TOS is %v, %v, want %#x", e, got, err, class)
				}
				d := w.diagnose(t, e)
				if got := map[string]uint8{"IPv4": d.tos, "IPv6": d.tclass}[tt.family]; got&^3 != class {
					t.Errorf("%v: the kernel has %#x, want %#x", e, got, class)
				}
				seen := w.sniff(t, w.host(e), []string{"one0", "two0"}[i/2])
				var got uint8
				conns.Until(t, "a packet of "+e.String(), func() (ok bool) {
					conns.Transfer(t, p.client, p.server)
					got, ok = seen(e)
					return ok
				})
				if got&^3 != class {
					t.Errorf("%v: its packets have the class %#x, want %#x", e, got, class)
				}
			}
		})
	}
}

// mayLackTOS tells the refusal of kernels that do not let the TOS of IPv4 be set on an
// IPv6 socket.
func mayLackTOS(family string, err error) bool {
	return family == "IPv4" && errors.Is(err, subopt.ErrNotSupported) && !linux.Since(6, 18)
}

// TestOptionOfConnectionReplaces shows what the package comment says: the kernel
// gives an option of the connection to all subflows.
func TestOptionOfConnectionReplaces(t *testing.T) {
	w := newWorld(t, "IPv4")
	s := open(t, w.client)
	p := w.dial(t, "IPv4", w.listen(t, netip.AddrPortFrom(netip.IPv6Unspecified(), port)))
	ctx := testContext(t)
	e := p.ends(t)[0]
	must(t, s.Set(ctx, e.local, e.remote, subopt.Mark, subopt.Number(7)))
	raw, err := p.client.SyscallConn()
	must(t, err)
	var optErr error
	must(t, raw.Control(func(fd uintptr) { optErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, 9) }))
	must(t, optErr)
	if got, err := s.Get(ctx, e.local, e.remote, subopt.Mark); err != nil || got != subopt.Number(9) {
		t.Errorf("mark %v, %v, want 9", got, err)
	}
}

// TestRouteGoesBefore shows what the package comment says of a route's rto_min.
func TestRouteGoesBefore(t *testing.T) {
	w := newWorld(t, "IPv4")
	ctx := testContext(t)
	must(t, w.client.Do(ctx, func() error {
		i, err := netlink.LinkByName("one0")
		if err != nil {
			return err
		}
		routes, err := netlink.RouteList(i, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		for _, r := range routes {
			r.RtoMin, r.RtoMinLock = 160, true // ms
			if err := netlink.RouteReplace(&r); err != nil {
				return err
			}
		}
		return nil
	}))
	s := open(t, w.client)
	p := w.dial(t, "IPv4", w.listen(t, netip.AddrPortFrom(netip.IPv6Unspecified(), port)))
	e := p.ends(t)[0]
	must(t, s.Set(ctx, e.local, e.remote, subopt.MinRTO, subopt.Duration(ticks)))
	for range 3 {
		conns.Transfer(t, p.client, p.server)
		if rto := p.tcp(t, e).RTO; rto < 160*time.Millisecond {
			t.Fatalf("RTO %v below that of the route", rto)
		}
	}
	if got, err := s.Get(ctx, e.local, e.remote, subopt.MinRTO); err != nil || got.Duration() != ticks {
		t.Errorf("minimum RTO %v, %v, want %v", got, err, ticks)
	}
}
