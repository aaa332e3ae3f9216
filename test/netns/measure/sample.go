package measure

import (
	"context"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/rig"
)

// Sample is what the links had carried at a time.
type Sample struct {
	At       time.Duration // since the flow began
	Up, Down []link.Counters
}

// sampleLinks reads the counters until the context ends.
func sampleLinks(ctx context.Context, r *rig.Rig, begun time.Time) []Sample {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	samples := []Sample{sampleNow(r, begun)}
	for {
		select {
		case <-tick.C:
			samples = append(samples, sampleNow(r, begun))
		case <-ctx.Done():
			return samples
		}
	}
}

func sampleNow(r *rig.Rig, begun time.Time) Sample {
	s := Sample{At: time.Since(begun)}
	for _, l := range r.Links {
		s.Up = append(s.Up, l.Counters(netns.Upstream))
		s.Down = append(s.Down, l.Counters(netns.Downstream))
	}
	return s
}
