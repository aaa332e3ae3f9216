package subflowbpf_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"mpproxy/pathctl/subflowbpf"
	"mpproxy/test/conns"
)

// BenchmarkDelivery measures the time from the kernel's timestamp of an event to
// its return from Receive, on a machine that does nothing else: one event at a
// time, as a timeout is.
func BenchmarkDelivery(b *testing.B) {
	w := watch(b, subflowbpf.Config{RTT: true})
	h, ln := newLoopback(b)
	ctx := testContext(b)
	client, server := dialLoopback(b, h, ln)
	token := source{client}.Token()
	var all []time.Duration
	for b.Loop() {
		start := time.Now()
		conns.Exchange(b, client, server)
		for answered := false; !answered; {
			e, err := w.Receive(ctx)
			must(b, err)
			all = append(all, time.Since(e.When))
			answered = e.Kind == subflowbpf.RTT && e.Token == token && e.When.After(start)
		}
	}
	reportQuantiles(b, all)
}

// BenchmarkDeliveryUnderLoad measures the same while connections are opened and
// closed as fast as it goes, a dozen events each.
func BenchmarkDeliveryUnderLoad(b *testing.B) {
	w := watch(b, subflowbpf.Config{})
	h, ln := newLoopback(b)
	ctx, cancel := context.WithCancel(b.Context())
	latencies := make(chan []time.Duration)
	go measure(ctx, w, latencies)
	for b.Loop() {
		openAndClose(b, h, ln)
	}
	cancel()
	reportQuantiles(b, <-latencies)
}

func measure(ctx context.Context, w *subflowbpf.Watcher, out chan<- []time.Duration) {
	var all []time.Duration
	defer func() { out <- all }()
	for e, err := range w.All(ctx) {
		if err != nil {
			return
		}
		all = append(all, time.Since(e.When))
	}
}

func reportQuantiles(b *testing.B, all []time.Duration) {
	b.Helper()
	if len(all) == 0 {
		b.Fatal("no events")
	}
	slices.Sort(all)
	for name, q := range map[string]float64{"p50": 0.5, "p90": 0.9, "p99": 0.99} {
		b.ReportMetric(float64(all[int(q*float64(len(all)-1))].Microseconds()), "µs-"+name)
	}
}
