package mptcppm

import (
	"testing"
	"time"
)

// BenchmarkCommands measures each command on one connection of the running
// kernel, in microseconds.
func BenchmarkCommands(b *testing.B) {
	w := newWorld(b, "tcp4", "0.0.0.0:0", "192.0.2.2")
	ctx, token := testContext(b), w.client.first.Token
	took := make(map[string]time.Duration)
	timed := func(name string, do func() error) {
		begun := time.Now()
		must(b, do())
		took[name] += time.Since(begun)
	}
	n := 0
	for b.Loop() {
		n++
		client, _ := w.create(b, addr("198.51.100.1"), addr("198.51.100.2"), 1, 0)
		timed("priority", func() error { return w.client.SetSubflowBackup(ctx, token, client.Local, client.Remote, true) })
		timed("destroy", func() error { return w.client.DestroySubflow(ctx, token, client.Local, client.Remote) })
		w.client.of(b, EventSubflowClosed, token)
		timed("announce", func() error {
			return w.client.Announce(ctx, token, Endpoint{ID: 3, Addr: addr("198.51.100.1")})
		})
		timed("remove", func() error { return w.client.Remove(ctx, token, 3) })
	}
	for name, d := range took {
		b.ReportMetric(float64(d.Microseconds())/float64(n), name+"-µs/op")
	}
}
