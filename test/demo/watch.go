//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"mpproxy/config"
	"mpproxy/internal/admin"
	"mpproxy/internal/status"
	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

const (
	// frameInterval is how often the client is asked and the picture redrawn.
	frameInterval = 250 * time.Millisecond
	// statusTimeout bounds one answer of the client.
	statusTimeout = 5 * time.Second
	// stallTimeout bounds the time without a byte, losing a link included.
	stallTimeout = 15 * time.Second
)

// act is one download and what happens on the way.
type act struct {
	via  route
	size int64 // bytes
	cue  *cue  // may be nil
}

// cue is something to be done once, on a goroutine of its own, when at bytes
// have come. One goroutine calls its methods.
type cue struct {
	at     int64
	do     func(ctx context.Context, received int64) error
	result chan error // nil until it has begun
}

func (c *cue) beginAt(ctx context.Context, received int64) {
	if c != nil && c.result == nil && received >= c.at {
		c.result = make(chan error, 1)
		go c.run(ctx, received)
	}
}

func (c *cue) run(ctx context.Context, received int64) { c.result <- c.do(ctx, received) }

// wait waits for the end of what has begun; not to have begun is an error.
func (c *cue) wait() error {
	switch {
	case c == nil:
		return nil
	case c.result == nil:
		return fmt.Errorf("the download was over before its cue, at %d bytes, was seen", c.at)
	}
	return <-c.result
}

// outcome is what an act has measured.
type outcome struct {
	size    int64 // bytes
	took    time.Duration
	pause   time.Duration // the longest between two pieces of the download
	carried []uint64      // bytes that came over each link, all headers included
	// subflows is the largest number seen in the connection, 0 without MPTCP.
	subflows int
}

// adminSocket is the client's, reached from outside its host: /run is the
// host's own, and /proc/PID/root is how the kernel shows it to others.
func adminSocket(r *rig.Rig) (string, error) {
	conf, err := config.LoadClient(r.ClientConfig())
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("/proc/%d/root%s", r.ClientDaemon.Pid(), conf.Admin.SocketPath(os.Getuid(), os.Getenv)), nil
}

func (s *stage) snapshot(ctx context.Context) (status.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	st, err := admin.Target{Program: status.Client, Socket: s.socket}.Status(ctx, 0)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("mpproxy-client has not answered for %s: %w", statusTimeout, err)
	}
	return st, err
}

// perform plays an act and returns when its download is complete and right.
func (s *stage) perform(ctx context.Context, a act) (outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fmt.Println("  $ " + s.fetcher.describe(a.via, a.size))
	first, err := s.snapshot(ctx)
	if err != nil {
		return outcome{}, err
	}
	before := s.delivered()
	t := startTransfer(ctx, s.fetcher, a.via, a.size)
	subflows, err := s.watch(ctx, t, a.cue, first)
	if err != nil {
		cancel() // a download that nobody watches any more
	}
	<-t.done
	if err = cmp.Or(err, t.err, a.cue.wait()); err != nil {
		return outcome{}, err
	}
	o := outcome{size: t.size, took: t.took, pause: t.pause, subflows: subflows}
	for i, n := range s.delivered() {
		o.carried = append(o.carried, n-before[i])
	}
	s.screen.finish(s.average(o))
	return o, nil
}

// watch draws until the transfer is over, and returns the largest number of
// subflows that it saw. It gives a transfer up that stands still.
func (s *stage) watch(ctx context.Context, t *transfer, c *cue, earlier status.Status) (subflows int, err error) {
	tick := time.NewTicker(frameInterval)
	defer tick.Stop()
	var received int64
	moved := time.Now()
	for {
		select {
		case <-t.done:
			return subflows, nil
		case <-tick.C:
		}
		now, err := s.snapshot(ctx)
		if err != nil {
			return subflows, err
		}
		subflows = max(subflows, multipath(now))
		s.screen.draw(s.frame(t, now.WithRates(earlier)))
		earlier = now
		if n := t.received.Load(); n > received {
			received, moved = n, time.Now()
		} else if time.Since(moved) > stallTimeout {
			return subflows, fmt.Errorf("nothing has arrived for %s, after %.1f of %.0f MB", stallTimeout, mega(float64(n)), mega(float64(t.size)))
		}
		c.beginAt(ctx, received)
	}
}

// multipath is the number of subflows of the newest connection.
func multipath(st status.Status) int {
	if n := len(st.Connections); n > 0 && st.Connections[n-1].Protocol == "mptcp" {
		return len(st.Connections[n-1].Subflows)
	}
	return 0
}

// frame is the picture of this moment, with the rates that the client measured.
func (s *stage) frame(t *transfer, st status.Status) frame {
	f := frame{received: t.received.Load(), size: t.size, seconds: time.Since(t.begun).Seconds()}
	for _, l := range s.rig.Links {
		one := s.lane(l)
		one.note = "gone" // without an address it is none of the client's paths
		if p, ok := pathOn(st, l.Name); ok {
			one.rate, one.note = float64(p.ReceiveRate), p.Reason
		}
		f.links = append(f.links, one)
	}
	return f
}

// average is the picture of a whole act.
func (s *stage) average(o outcome) frame {
	f := frame{received: o.size, size: o.size, seconds: o.took.Seconds()}
	for i, l := range s.rig.Links {
		one := s.lane(l)
		one.rate, one.note = float64(o.carried[i])*8/o.took.Seconds(), "on average"
		f.links = append(f.links, one)
	}
	return f
}

func (s *stage) lane(l *netns.Link) lane {
	return lane{name: label(l.Name), capacity: float64(l.Params(netns.Downstream).Rate)}
}

// delivered is what each link has brought to the client so far, in bytes. The
// links count it themselves: the client forgets a path that is gone.
func (s *stage) delivered() []uint64 {
	var out []uint64
	for _, l := range s.rig.Links {
		out = append(out, l.Counters(netns.Downstream).DeliveredBytes)
	}
	return out
}

func pathOn(st status.Status, iface string) (status.Path, bool) {
	for _, p := range st.Paths {
		if p.Interface == iface {
			return p, true
		}
	}
	return status.Path{}, false
}

// label is the name of a link for people: "DSL" for dsl0.
func label(iface string) string {
	return strings.ToUpper(strings.TrimRight(iface, "0123456789"))
}
