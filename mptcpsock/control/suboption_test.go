package control

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"sync"
	"testing"
	"time"

	"mpproxy/mptcpsock/subdiag"
	"mpproxy/mptcpsock/subopt"
	"mpproxy/mptcpsock/uapi"
)

// skipWithoutBPF skips where eBPF lacks a privilege or the kernel something.
func skipWithoutBPF(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, ErrNotPermitted) || errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	must(t, err)
}

// TestSubOptions: two subflows of one connection run different congestion
// controls and least timeouts, from both sides, over IPv4 and IPv6.
func TestSubOptions(t *testing.T) {
	if !inside(t) {
		return
	}
	newWorld(t).both(t, func(t *testing.T, w *world, p pairOfConns, here, there []netip.Addr) {
		ctx := testContext(t)
		second, err := p.conn.OpenSub(ctx, port0(here[1]), w.joinTarget(p, there[1]), Normal)
		must(t, err)
		first := onlyInitial(t, p.conn)
		before, err := p.conn.SubGetsockopt(ctx, first, subopt.Congestion)
		must(t, err)
		other := "reno"
		if before.Text() == other {
			other = "bbr"
		}
		skipWithoutBPF(t, p.conn.SubSetsockopt(ctx, second, subopt.Congestion, subopt.Text(other)))
		must(t, p.conn.SubSetsockopt(ctx, first, subopt.MinRTO, subopt.Duration(160*time.Millisecond)))
		must(t, p.conn.SubSetsockopt(ctx, second, subopt.MinRTO, subopt.Duration(40*time.Millisecond)))
		for _, tt := range []struct {
			id   uapi.SubflowID
			o    subopt.Option
			want subopt.Value
		}{
			{first, subopt.Congestion, before},
			{second, subopt.Congestion, subopt.Text(other)},
			{first, subopt.MinRTO, subopt.Duration(160 * time.Millisecond)},
			{second, subopt.MinRTO, subopt.Duration(40 * time.Millisecond)},
		} {
			got, err := p.conn.SubGetsockopt(ctx, tt.id, tt.o)
			if err != nil || got != tt.want {
				t.Errorf("%v of subflow %d: %v, %v, want %v", tt.o, tt.id, got, err, tt.want)
			}
		}
		for id, want := range map[uapi.SubflowID]string{first: before.Text(), second: other} { // by another way
			pair, err := p.conn.SubTuple(id)
			must(t, err)
			seen, err := subdiag.Read(ctx, pair.Local, pair.Remote)
			if err != nil || seen.Congestion != want {
				t.Errorf("sock_diag says %+v, %v of subflow %d, want %s", seen, err, id, want)
			}
		}
		err = p.conn.SubSetsockopt(ctx, second, subopt.Congestion, subopt.Text("no-such-one"))
		wantError(t, "congestion control", err, subopt.ErrUnknownCongestion)
		err = p.conn.SubSetsockopt(ctx, second, subopt.MinRTO, subopt.Duration(time.Hour))
		wantError(t, "out of range", err, ErrInvalid)
	})
}

// TestSubOptionsFromTheStart: options hold from the first packet on, of the
// initial subflow and of further ones.
func TestSubOptionsFromTheStart(t *testing.T) {
	if !inside(t) {
		return
	}
	w := newWorld(t)
	if _, err := w.ctl.setter.get(); err != nil {
		skipWithoutBPF(t, translate(err))
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			w := w.in(t)
			ctx := testContext(t)
			p := w.dial(Dialer{Strict: true, SubOptions: []SubOption{
				{Option: subopt.Congestion, Value: subopt.Text("reno"), Local: port0(family.here[0])},
				{Option: subopt.MinRTO, Value: subopt.Duration(120 * time.Millisecond)},
			}}, family.there[0])
			second, err := p.conn.OpenSub(ctx, port0(family.here[1]), netip.AddrPort{}, Normal,
				SubOption{Option: subopt.Congestion, Value: subopt.Text("bbr")})
			must(t, err)
			first := onlyInitial(t, p.conn)
			for _, tt := range []struct {
				id   uapi.SubflowID
				o    subopt.Option
				want subopt.Value
			}{
				{first, subopt.Congestion, subopt.Text("reno")},
				{second, subopt.Congestion, subopt.Text("bbr")},
				{first, subopt.MinRTO, subopt.Duration(120 * time.Millisecond)},
				{second, subopt.MinRTO, subopt.Duration(120 * time.Millisecond)},
			} {
				got, err := p.conn.SubGetsockopt(ctx, tt.id, tt.o)
				if err != nil || got != tt.want {
					t.Errorf("%v of subflow %d: %v, %v, want %v", tt.o, tt.id, got, err, tt.want)
				}
			}
			_, err = p.conn.OpenSub(ctx, port0(family.here[1]), netip.AddrPort{}, Normal,
				SubOption{Option: subopt.Congestion, Value: subopt.Text("no-such-one")})
			wantError(t, "OpenSub", err, subopt.ErrUnknownCongestion)
			must(t, p.conn.Close())
		})
	}
	w.both(t, func(t *testing.T, w *world, p pairOfConns, here, there []netip.Addr) {
		ctx := testContext(t)
		other := "reno"
		if before, err := p.conn.SubGetsockopt(ctx, onlyInitial(t, p.conn), subopt.Congestion); err != nil || before.Text() == other {
			must(t, err)
			other = "bbr"
		}
		remote := w.joinTarget(p, there[1])
		id, err := p.conn.OpenSub(ctx, port0(here[1]), remote, Normal,
			SubOption{Option: subopt.Congestion, Value: subopt.Text(other)},
			SubOption{Option: subopt.MinRTO, Value: subopt.Duration(80 * time.Millisecond)})
		must(t, err)
		for o, want := range map[subopt.Option]subopt.Value{subopt.Congestion: subopt.Text(other), subopt.MinRTO: subopt.Duration(80 * time.Millisecond)} {
			if got, err := p.conn.SubGetsockopt(ctx, id, o); err != nil || got != want {
				t.Errorf("%v of the opened subflow: %v, %v, want %v", o, got, err, want)
			}
		}
		pairs, err := p.conn.Pairs()
		must(t, err)
		_, err = p.conn.OpenSub(ctx, port0(here[1]), remote, Normal, SubOption{Option: subopt.Congestion, Value: subopt.Text("no-such-one")})
		wantError(t, "OpenSub", err, subopt.ErrUnknownCongestion)
		wantPairs(t, p.conn, pairs...)
	})
	d := Dialer{Controller: w.ctl, SubOptions: []SubOption{{Option: subopt.Congestion, Value: subopt.Text("no-such-one")}}}
	ln := w.listenThere(port0(netip.IPv6Unspecified()))
	_, err := d.Dial(testContext(t), netip.AddrPortFrom(there4[0], ln.Addr().Port()))
	wantError(t, "Dial", err, subopt.ErrUnknownCongestion)
}

// TestQueuesAreBounded: a Controller bounds what subflows hold unsent, also of
// connections whose subflows are the application's: a removal waits for that. The
// kernel's own bound is the highest number.
func TestQueuesAreBounded(t *testing.T) {
	if !inside(t) {
		return
	}
	newWorld(t).both(t, func(t *testing.T, w *world, p pairOfConns, here, there []netip.Addr) {
		ctx := testContext(t)
		first := onlyInitial(t, p.conn)
		if _, err := p.conn.SubGetsockopt(ctx, first, subopt.NotSentLowat); err != nil {
			skipWithoutBPF(t, err)
		}
		second, err := p.conn.OpenSub(ctx, port0(here[1]), w.joinTarget(p, there[1]), Normal)
		must(t, err)
		for _, id := range []uapi.SubflowID{first, second} {
			must(t, p.conn.Prefer(ctx, id)) // the bound is set with each round trip
			for bounded := false; !bounded; {
				p.pingPong(t)
				bound, err := p.conn.SubGetsockopt(ctx, id, subopt.NotSentLowat)
				must(t, err)
				bounded = bound.Number() < math.MaxUint32
			}
		}
	})
}

// TestConcurrentUse calls everything at once; the race detector watches.
func TestConcurrentUse(t *testing.T) {
	if !inside(t) {
		return
	}
	w := newWorld(t)
	p := w.dial(Dialer{Strict: true}, there4[0])
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var users sync.WaitGroup
	for i := range 4 {
		users.Go(func() { openAndCloseSubs(ctx, t, p.conn, here4[i%2]) })
		users.Go(func() { readEverything(t, p.conn) })
	}
	watching, stop := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	for range 4 {
		events := p.conn.Events(watching)
		watchers.Go(func() {
			for range events {
			}
		})
	}
	users.Wait()
	stop()
	watchers.Wait()
	p.pingPong(t)
	var closers sync.WaitGroup
	for range 2 {
		closers.Go(func() { _ = p.conn.Close() })
		closers.Go(func() { _ = w.ctl.Close() })
	}
	closers.Wait()
}

// openAndCloseSubs may have its subflow refused, or reset soon after, when the
// peer's kernel has not yet done with those that were closed and is at its limit.
func openAndCloseSubs(ctx context.Context, t *testing.T, c *Conn, from netip.Addr) {
	for range 10 {
		id, err := c.OpenSub(ctx, port0(from), netip.AddrPort{}, Normal)
		if errors.Is(err, ErrSubflowFailed) {
			continue
		}
		if err != nil {
			t.Errorf("OpenSub: %v", err)
			return
		}
		for _, err := range []error{c.SetPriority(ctx, id, Backup), c.CloseSub(ctx, id)} {
			if err != nil && !errors.Is(err, ErrUnknownSubflow) && !errors.Is(err, ErrNotEstablished) {
				t.Errorf("subflow %d: %v", id, err)
			}
		}
	}
}

func readEverything(t *testing.T, c *Conn) {
	for range 100 {
		_, err1 := c.SubIDs()
		_, err2 := c.Pairs()
		_, err3 := c.Stats()
		_, err4 := c.ConnID()
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Error(err)
		}
		_ = c.Steering()
	}
}
