package daemon

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// By default the heap grows to twice what was in use at the last collection. That is
// the right measure for a small program, and for one with ten thousand connections
// it is as much memory again as they take. So where much is in use, less garbage is
// let gather; a collection then costs more often what it costs.
const (
	heapMuch    = 32 << 20 // bytes in use from which on that holds
	heapLittle  = 16 << 20 // and below which it does no more
	heapTight   = 40       // % of what is in use, against 100 % by default
	heapDefault = 100
	heapEvery   = 5 * time.Second
)

// tendHeap sets how much garbage may gather, until ctx is done. Whoever has set GOGC
// knows better.
func tendHeap(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	defer debug.SetGCPercent(heapDefault)
	tick := time.NewTicker(heapEvery)
	defer tick.Stop()
	percent := heapDefault
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := gcPercent(heapInUse(), percent); now != percent {
			percent = now
			debug.SetGCPercent(percent)
		}
	}
}

// gcPercent decides by the bytes in use; before is what holds now.
func gcPercent(inUse uint64, before int) int {
	switch {
	case inUse >= heapMuch:
		return heapTight
	case inUse < heapLittle:
		return heapDefault
	}
	return before
}

// heapInUse is what the last collection found reachable, in bytes.
func heapInUse() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
