package netns

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"mpproxy/test/netns/link"
)

// BenchmarkShapedLinks fills two links in both directions at once with plain
// TCP, and prints what each direction carried, in hundredths of its payload
// ceiling after the first second, and the CPU time of this process, the TCP end
// points included.
func BenchmarkShapedLinks(b *testing.B) {
	Require(b)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	topo, err := New(ctx, Config{Links: []LinkConfig{
		{Name: "dsl0", Params: link.Params{Rate: 50 * link.Mbit, Delay: 10 * time.Millisecond}},
		{Name: "lte0", Params: link.Params{Rate: 20 * link.Mbit, Delay: 25 * time.Millisecond}},
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer topo.Close()
	const warm, measured = time.Second, 3 * time.Second
	for b.Loop() {
		var load sync.WaitGroup
		stop := time.Now().Add(warm + measured)
		for _, l := range topo.Links {
			// To the gateway, so that no source routing is needed.
			load.Go(func() { fill(b, ctx, topo, l, stop, false) })
			load.Go(func() { fill(b, ctx, topo, l, stop, true) })
		}
		time.Sleep(warm)
		start, cpu, before := time.Now(), cpuTime(), counts(topo)
		time.Sleep(measured)
		seconds := time.Since(start).Seconds()
		after := counts(topo)
		for i, l := range topo.Links {
			for _, d := range []link.Direction{Upstream, Downstream} {
				rate := float64(after[i][d].DeliveredBytes-before[i][d].DeliveredBytes) * 8 / seconds
				b.ReportMetric(100*rate/float64(l.Params(d).Rate), l.Name+"-"+[]string{"up", "down"}[d]+"-%")
			}
		}
		b.ReportMetric(100*(cpuTime()-cpu).Seconds()/seconds, "cpu-%")
		load.Wait()
	}
}

func counts(t *Topology) (c [][2]link.Counters) {
	for _, l := range t.Links {
		c = append(c, [2]link.Counters{l.Counters(Upstream), l.Counters(Downstream)})
	}
	return c
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fill sends over a link until stop, to the client or from it.
func fill(b *testing.B, ctx context.Context, topo *Topology, l *Link, stop time.Time, down bool) {
	var listener net.Listener
	err := topo.Concentrator.Do(ctx, func() error {
		var err error
		listener, err = net.Listen("tcp", netip.AddrPortFrom(l.Gateway4, 0).String())
		return err
	})
	if err != nil {
		b.Error(err)
		return
	}
	defer listener.Close()
	near, err := topo.Client.DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		b.Error(err)
		return
	}
	defer near.Close()
	far, err := listener.Accept()
	if err != nil {
		b.Error(err)
		return
	}
	defer far.Close()
	from, to := near, far
	if down {
		from, to = far, near
	}
	_ = from.SetDeadline(stop)
	_ = to.SetDeadline(stop)
	var reader sync.WaitGroup
	reader.Go(func() {
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{to}, make([]byte, 64<<10))
	})
	data := make([]byte, 64<<10)
	for {
		if _, err := from.Write(data); err != nil {
			break
		}
	}
	reader.Wait()
}
