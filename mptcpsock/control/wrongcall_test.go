package control

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"syscall"
	"testing"

	"mpproxy/pathctl/policy"
)

// wrongCall is a call that fails with these errors, on a connection that can have
// subflows from here to there.
type wrongCall struct {
	name string
	do   func(ctx context.Context, c *Conn, here, there []netip.Addr) error
	want []error
}

func wrongCalls() []wrongCall {
	open := func(ctx context.Context, c *Conn, local, remote netip.AddrPort) error {
		_, err := c.OpenSub(ctx, local, remote, Normal)
		return err
	}
	nobody := func(like netip.Addr) netip.Addr { // no host has it, and no route leads there
		if like.Is4() {
			return netip.MustParseAddr("203.0.113.1")
		}
		return netip.MustParseAddr("2001:db8:ffff::1")
	}
	type addrs = []netip.Addr
	return []wrongCall{
		{"families differ", func(ctx context.Context, c *Conn, here, _ addrs) error {
			other := netip.AddrPortFrom(there6[1], 80)
			if here[1].Is6() {
				other = netip.AddrPortFrom(there4[1], 80)
			}
			return open(ctx, c, port0(here[1]), other)
		}, []error{ErrAddressFamily}},
		{"not our address", func(ctx context.Context, c *Conn, here, there addrs) error {
			return open(ctx, c, port0(nobody(here[1])), netip.AddrPortFrom(there[1], 80))
		}, []error{syscall.EADDRNOTAVAIL}},
		{"no route", func(ctx context.Context, c *Conn, here, _ addrs) error {
			return open(ctx, c, port0(here[1]), netip.AddrPortFrom(nobody(here[1]), 80))
		}, []error{syscall.ENETUNREACH}},
		{"refused", func(ctx context.Context, c *Conn, here, there addrs) error {
			return open(ctx, c, port0(here[1]), netip.AddrPortFrom(there[1], 9))
		}, []error{ErrSubflowFailed, syscall.ECONNREFUSED}},
		{"no port", func(ctx context.Context, c *Conn, here, there addrs) error {
			return open(ctx, c, port0(here[1]), port0(there[1]))
		}, []error{ErrInvalid, fs.ErrInvalid}},
		{"zone that is not there", func(ctx context.Context, c *Conn, _, _ addrs) error {
			return open(ctx, c, netip.MustParseAddrPort("[fe80::1%nowhere0]:0"), netip.AddrPortFrom(there6[1], 80))
		}, []error{ErrInvalid}},
		{"priority", func(ctx context.Context, c *Conn, here, _ addrs) error {
			_, err := c.OpenSub(ctx, port0(here[1]), netip.AddrPort{}, 7)
			return err
		}, []error{ErrInvalid}},
		{"cancelled", func(ctx context.Context, c *Conn, here, _ addrs) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return open(ctx, c, port0(here[1]), netip.AddrPort{})
		}, []error{context.Canceled}},
		{"unknown subflow", func(ctx context.Context, c *Conn, _, _ addrs) error { return c.CloseSub(ctx, 99) }, []error{ErrUnknownSubflow}},
		{"unknown subflow's priority", func(ctx context.Context, c *Conn, _, _ addrs) error { return c.SetPriority(ctx, 99, Backup) }, []error{ErrUnknownSubflow}},
		{"unknown subflow preferred", func(ctx context.Context, c *Conn, _, _ addrs) error { return c.Prefer(ctx, 99) }, []error{ErrUnknownSubflow}},
		{"last subflow", func(ctx context.Context, c *Conn, _, _ addrs) error {
			ids, err := c.SubIDs()
			return errors.Join(err, c.CloseSub(ctx, ids[0].ID))
		}, []error{ErrLastSubflow}},
		{"last address", func(ctx context.Context, c *Conn, here, _ addrs) error {
			if !c.Accepted() {
				return ErrLastSubflow // a client with no list opens an alternative from any path
			}
			return c.RemoveAddrs(ctx, port0(here[0]))
		}, []error{ErrLastSubflow}},
		{"prefer nothing", func(ctx context.Context, c *Conn, _, _ addrs) error { return c.Prefer(ctx) }, []error{ErrInvalid}},
		{"no subflows", func(ctx context.Context, c *Conn, _, _ addrs) error { return c.SetSubflows(ctx, 0) }, []error{ErrInvalid}},
		{"too many subflows", func(ctx context.Context, c *Conn, _, _ addrs) error { return c.SetSubflows(ctx, 9) }, []error{ErrInvalid}},
		{"add no address", func(ctx context.Context, c *Conn, _, _ addrs) error { return c.AddAddrs(ctx, netip.AddrPort{}) }, []error{ErrInvalid}},
		{"remove no address", func(ctx context.Context, c *Conn, _, _ addrs) error { return c.RemoveAddrs(ctx, netip.AddrPort{}) }, []error{ErrInvalid}},
		{"remove a foreign address", func(ctx context.Context, c *Conn, here, _ addrs) error {
			return c.RemoveAddrs(ctx, port0(nobody(here[0])))
		}, []error{ErrUnknownAddress, fs.ErrNotExist}},
		{"mode that is none", func(ctx context.Context, c *Conn, _, _ addrs) error {
			return c.Steer(ctx, Steering{Mode: policy.Spec{Name: "x", Base: "x"}})
		}, []error{ErrInvalid}},
		{"second Conn", func(_ context.Context, c *Conn, _, _ addrs) error {
			return c.attached.Load().ctl.Attach(&Conn{Conn: c.Conn})
		}, []error{ErrInvalid}},
	}
}

// TestWrongCalls: with a Controller, wrong arguments and wrong states, from both
// sides, over IPv4 and IPv6.
func TestWrongCalls(t *testing.T) {
	if !inside(t) {
		return
	}
	newWorld(t).both(t, func(t *testing.T, w *world, p pairOfConns, here, there []netip.Addr) {
		for _, tt := range wrongCalls() {
			t.Run(tt.name, func(t *testing.T) { wantError(t, tt.name, tt.do(testContext(t), p.conn, here, there), tt.want...) })
		}
		wantPairs(t, p.conn, firstPair(p.conn)) // nothing has come of it
		p.pingPong(t)
	})
}
