// Command soak runs the whole system for an hour that is like many days: links go dark
// and come back, addresses change, peers die, while applications load, talk and leave. It
// ends as it began, or says what has grown:
//
//	descriptors, goroutines, connections and memory of both programs,
//	subflows in the kernel,
//	routing rules, routes and MPTCP endpoints of the client's host
//
//	go run ./test/soak -for 10m
//
// It needs root or a user namespace, and touches nothing outside of the namespaces that
// it makes. It exits with 1 if a byte was wrong, a program ended, or something has grown.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"mpproxy/test/netns/rig"
)

func main() {
	var s soak
	flag.DurationVar(&s.length, "for", time.Hour, "how long traffic runs")
	flag.Uint64Var(&s.seed, "seed", 1, "of the order in which things happen")
	flag.Parse()
	rig.Main("soak", s.run)
}

// soak is one run.
type soak struct {
	length time.Duration
	seed   uint64

	rig *rig.Rig
}

// adminAddr is where each program shows its metrics, in its own host.
const adminAddr = "127.0.0.1:9090"

func (s *soak) run(ctx context.Context, programs string) error {
	admin := rig.Set("admin", fmt.Sprintf("http = %q", adminAddr))
	r, err := rig.New(ctx, rig.Config{
		Bin: programs, Links: rig.DSLAndLTE(), EditServer: admin, EditClient: admin,
	})
	if err != nil {
		return err
	}
	defer r.Close()
	s.rig = r
	// Programs keep what they have met once: pools, tables, the modes' memory.
	fmt.Println("warming up for a minute")
	if err := s.live(ctx, time.Minute); err != nil {
		return err
	}
	before, err := s.settle(ctx, ledger{})
	if err != nil {
		return err
	}
	fmt.Printf("%v of traffic and trouble\n", s.length)
	if err := s.live(ctx, s.length); err != nil {
		return err
	}
	after, err := s.settle(ctx, before)
	if err != nil {
		return err
	}
	fmt.Print(compare(before, after))
	if grown := after.grownSince(before); len(grown) > 0 {
		return fmt.Errorf("has grown: %s", strings.Join(grown, ", "))
	}
	return nil
}

// live lets applications and troubles have their way for a time.
func (s *soak) live(ctx context.Context, length time.Duration) error {
	until, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	random := rand.New(rand.NewPCG(s.seed, uint64(length)))
	var t traffic
	stop := t.start(until, s.rig)
	err := s.trouble(until, random, &t)
	stop()
	t.print()
	if err == nil {
		err = t.wrong()
	}
	return err
}

// settle waits for everything that ends by itself to end: kept connections, half-closed
// ones, probes. It returns as soon as no more is there than in want, or when nothing more
// can be expected to go.
func (s *soak) settle(ctx context.Context, want ledger) (ledger, error) {
	const (
		least = 70 * time.Second // kept connections live for a minute
		most  = 4 * time.Minute
		every = 5 * time.Second
	)
	fmt.Println("waiting for what ends by itself")
	begun := time.Now()
	for {
		if !pause(ctx, every) {
			return ledger{}, ctx.Err()
		}
		now, err := s.count(ctx)
		if err != nil {
			return ledger{}, err
		}
		waited := time.Since(begun)
		if waited > most || waited > least && (want.empty() || len(now.grownSince(want)) == 0) {
			return now, nil
		}
	}
}

// pause waits, and reports false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
