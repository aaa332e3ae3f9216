package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// unshaped are two plain links: what the programs and the kernel can do.
func unshaped() []netns.LinkConfig {
	return []netns.LinkConfig{{Name: "dsl0", V4: true}, {Name: "lte0", V4: true}}
}

func stalls(ctx context.Context, opt options) error {
	const fetches, size, stall = 100, 512 << 10, 190 * time.Millisecond
	for _, security := range []string{"tls", "none"} {
		r, err := rig.New(ctx, opt.rig(rig.Config{Links: unshaped(), Security: security}))
		if err != nil {
			return err
		}
		client, err := measure.HTTPClient(r, "")
		if err != nil {
			return err
		}
		var took []time.Duration
		for range fetches {
			d, err := measure.Download(ctx, client, netns.DestinationName, size, false)
			if err != nil {
				return err
			}
			took = append(took, d)
		}
		slices.Sort(took)
		stalled := 0
		for _, d := range took {
			if d > stall {
				stalled++
			}
		}
		fmt.Printf("  leg %-5s %d of %d above %s; median %.1f ms, longest %.1f ms\n", security, stalled, fetches, stall,
			measure.Millis(took[len(took)/2]), measure.Millis(took[len(took)-1]))
		if err := r.Close(); err != nil {
			return err
		}
	}
	return nil
}
