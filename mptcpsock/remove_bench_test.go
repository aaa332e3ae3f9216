package mptcpsock

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"mpproxy/test/netns/link"
)

// end makes a namespace the end of a link.
type end struct {
	namespace
	tb testing.TB
}

func (e end) Do(_ context.Context, f func() error) (err error) {
	e.do(e.tb, func() { err = f() })
	return err
}

func (e end) NetNS() int { return int(e.handle) }

// BenchmarkRemoveAddrs takes the address in use away during a transfer over two
// links of 20 Mbit/s and 10 ms each way, and prints the longest time without a
// byte at the receiver, median and worst, beside that of transfers from which
// nothing is taken. Run it on a machine with nothing else to do.
func BenchmarkRemoveAddrs(b *testing.B) {
	if !inside(b) {
		return
	}
	for _, upload := range []bool{true, false} {
		name := "download"
		if upload {
			name = "upload"
		}
		b.Run(name, func(b *testing.B) {
			w := shapedWorld(b, link.Params{Rate: 20 * link.Mbit, Delay: 10 * time.Millisecond, Queue: 60_000})
			var with, without []time.Duration
			for range b.N {
				with = append(with, w.removeSilence(b, upload, true))
				without = append(without, w.removeSilence(b, upload, false))
			}
			for unit, all := range map[string][]time.Duration{"silence-ms": with, "unremoved-ms": without} {
				slices.Sort(all)
				b.ReportMetric(float64(all[len(all)/2].Milliseconds()), unit)
				b.ReportMetric(float64(all[len(all)-1].Milliseconds()), "worst-"+unit)
			}
			b.Log(with, without)
		})
	}
}

// shapedWorld is a world whose links have a rate and a delay, IPv4 only, with
// source routing by the Controller.
func shapedWorld(b *testing.B, p link.Params) *world {
	b.Helper()
	w := &world{t: b, self: newNamespace(b), peer: newNamespace(b)}
	handle, err := netns.Get()
	must(b, err)
	b.Cleanup(func() { _ = handle.Close() })
	w.self = namespace{handle}
	for i, name := range []string{"link1", "link2"} {
		l, err := link.New(testContext(b), link.Config{
			A: link.End{NS: end{w.self, b}, Name: name}, B: link.End{NS: end{w.peer, b}, Name: name}, AtoB: p, BtoA: p,
		})
		must(b, err)
		b.Cleanup(func() { must(b, l.Close()) })
		w.self.addAddr(b, name, here4[i].String()+"/24")
		w.peer.addAddr(b, name, there4[i].String()+"/24")
	}
	w.self.do(b, func() {
		addDefaultRoute(b, "link1", there4[0], 100)
		addDefaultRoute(b, "link2", there4[1], 200)
	})
	w.peer.limits(b, 8)
	w.mine, w.his = watchKernel(b, w.self), watchKernel(b, w.peer)
	ctl, err := OpenController(testContext(b), ControllerConfig{StateDir: b.TempDir()})
	must(b, err)
	b.Cleanup(func() { must(b, ctl.Close()) })
	w.ctl = ctl
	return w
}

func (w *world) removeSilence(b *testing.B, upload, remove bool) time.Duration {
	b.Helper()
	p := w.dial(Dialer{LocalAddrs: []netip.AddrPort{port0(here4[0]), port0(here4[1])}}, there4[0])
	defer p.conn.Close()
	defer p.far.Close()
	from, to := p.conn, p.far
	if !upload {
		from, to = to, from
	}
	ctx := testContext(b)
	return transferOf(b, from, to, 8<<20, func() error {
		if !remove {
			return nil
		}
		return p.conn.RemoveAddrs(ctx, port0(here4[0]))
	})
}
