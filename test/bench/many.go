package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

const (
	manyConnections = 2000
	manyEvery       = time.Second
	manySize        = 200
	manyCalm        = 10 * time.Second // before the path dies
	manyAfter       = 20 * time.Second
	manyWindow      = 5 * time.Second // before and after, in which CPU time is taken
)

// many lets one of two paths die under many connections with little traffic.
func many(ctx context.Context, opt options) error {
	fmt.Printf("  %-12s %-10s %-14s %9s  %s\n", "path manager", "mode", "event", "alive", "from the event to the next answer, aim 3 s; longest round trip; CPU and memory")
	for _, s := range bulkSettings {
		for _, death := range deaths {
			if !opt.wanted(s.String(), death.name) {
				continue
			}
			if err := manyWith(ctx, opt, s, death.name, death.do); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
	}
	return nil
}

func manyWith(ctx context.Context, opt options, s setting, event string, die func(*rig.Rig) error) error {
	p := link.Params{Rate: 100 * link.Mbit, Delay: 10 * time.Millisecond}
	mode := func(toml string) string {
		return strings.Replace(toml, `#mode = "aggregate"`, fmt.Sprintf("mode = %q", s.mode), 1)
	}
	// Without -v decisions are not logged: that is work, too.
	quiet := func(toml string) string { return strings.Replace(toml, `level = "debug"`, `level = "info"`, 1) }
	if opt.verbose {
		quiet = nil
	}
	r, log, err := newRig(ctx, opt, s.manager, rig.Config{
		Links:      []netns.LinkConfig{{Name: "dsl0", Params: p, V4: true}, {Name: "lte0", Params: p, V4: true}},
		EditServer: measure.Edits(manyForOne, quiet), EditClient: measure.Edits(mode, quiet),
	})
	if err != nil {
		return err
	}
	defer r.Close()
	before := usageOf(r)
	conns, err := openMany(ctx, r, manyConnections)
	defer closeMany(conns)
	if err != nil {
		return err
	}
	talkers, stop := talkAll(conns)
	defer stop()
	time.Sleep(manyCalm - manyWindow)
	calm := usageOf(r)
	time.Sleep(manyWindow)
	atDeath := usageOf(r)
	if err := die(r); err != nil {
		return err
	}
	died := time.Now()
	time.Sleep(manyWindow)
	after := usageOf(r)
	time.Sleep(manyAfter - manyWindow)
	stop()
	sumMany(s, event, talkers, died)
	for i, name := range []string{"client", "concentrator"} {
		fmt.Printf("      %-12s CPU %.2f s in %s before, %.2f s in %s after; resident %.0f MiB before the connections, %.0f with them, %.0f after; said that events were lost %d times\n",
			name, (atDeath[i].cpu - calm[i].cpu).Seconds(), manyWindow, (after[i].cpu - atDeath[i].cpu).Seconds(), manyWindow,
			mebi(before[i].memory), mebi(atDeath[i].memory), mebi(after[i].memory), strings.Count(outputOf(r)[i], "events of the kernel were lost"))
	}
	if opt.verbose {
		printPace(died, named(r, log.Decisions(died)))
	}
	return nil
}

// printPace says how many decisions of each kind were made, and when.
func printPace(died time.Time, ds []measure.Decision) {
	type kind struct{ end, action, path string }
	first, last, n := map[kind]time.Time{}, map[kind]time.Time{}, map[kind]int{}
	var kinds []kind
	for _, d := range ds {
		k := kind{d.End, d.Action, d.Path}
		if n[k] == 0 {
			first[k] = d.When
			kinds = append(kinds, k)
		}
		last[k] = d.When
		n[k]++
	}
	for _, k := range kinds {
		fmt.Printf("      %-12s %s %s: %d times, %.3f s to %.3f s after the event\n", k.end, k.action, k.path, n[k],
			first[k].Sub(died).Seconds(), last[k].Sub(died).Seconds())
	}
}

func outputOf(r *rig.Rig) [2]string { return [2]string{r.ClientDaemon.Output(), r.Server.Output()} }

func mebi(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// usage of a program.
type usage struct {
	cpu    time.Duration
	memory int64
}

// usageOf client and concentrator.
func usageOf(r *rig.Rig) (us [2]usage) {
	for i, p := range []*netns.Process{r.ClientDaemon, r.Server} {
		us[i].cpu = processCPU(p.Pid())
		us[i].memory, _ = residentMemory(p.Pid())
	}
	return us
}

// talker asks for an echo again and again.
type talker struct {
	conn  net.Conn
	asked []time.Time
	heard []time.Time
}

// talkAll begins conversations, spread over manyEvery. The talkers may be read
// once the function that it returns, which may be called twice, has ended them.
func talkAll(conns []net.Conn) ([]*talker, func()) {
	quit := make(chan struct{})
	var asking, hearing sync.WaitGroup
	var ts []*talker
	begun := time.Now()
	for i, c := range conns {
		t := &talker{conn: c}
		ts = append(ts, t)
		first := begun.Add(manyEvery * time.Duration(i) / time.Duration(len(conns)))
		asking.Go(func() { t.ask(first, quit) })
		hearing.Go(t.hear)
	}
	return ts, sync.OnceFunc(func() {
		close(quit)
		asking.Wait()
		for _, c := range conns {
			_ = c.SetReadDeadline(time.Now().Add(manyEvery)) // for what is under way
		}
		hearing.Wait()
	})
}

func (t *talker) ask(next time.Time, quit <-chan struct{}) {
	message := make([]byte, manySize)
	_ = t.conn.SetDeadline(time.Time{})
	for {
		select {
		case <-time.After(time.Until(next)):
		case <-quit:
			return
		}
		t.asked = append(t.asked, time.Now())
		if _, err := t.conn.Write(message); err != nil {
			return
		}
		next = next.Add(manyEvery)
	}
}

func (t *talker) hear() {
	message := make([]byte, manySize)
	for {
		if _, err := io.ReadFull(t.conn, message); err != nil {
			return
		}
		t.heard = append(t.heard, time.Now())
	}
}

// sumMany prints what became of the conversations.
func sumMany(s setting, event string, ts []*talker, died time.Time) {
	alive := 0
	var moved, longest []float64
	for _, t := range ts {
		if n := len(t.asked); n > 1 && len(t.heard) >= n-1 {
			alive++
		}
		next, worst := manyAfter, time.Duration(0)
		for i, asked := range t.asked {
			answered := i < len(t.heard)
			if answered && asked.After(died) && next == manyAfter {
				next = t.heard[i].Sub(died)
			}
			if answered && t.heard[i].After(died) {
				worst = max(worst, t.heard[i].Sub(asked))
			}
		}
		moved = append(moved, next.Seconds())
		longest = append(longest, worst.Seconds())
	}
	m, l := measure.NewDistribution(moved), measure.NewDistribution(longest)
	fmt.Printf("  %-12s %-10s %-14s %4d/%4d  next answer: median %.2f, 99 %% %.2f, last %.2f s (%.1f %% in 3 s); longest round trip: median %.2f, 99 %% %.2f, worst %.2f s\n",
		s.manager, s.mode, event, alive, len(ts), m.Median(), m.Quantile(0.99), m.Max(), 100*m.ShareAtMost(3), l.Median(), l.Quantile(0.99), l.Max())
}
