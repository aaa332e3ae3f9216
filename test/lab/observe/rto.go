package observe

import (
	"context"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/test/netns/rig"
)

// rtoEvery is how often the kernel is asked for retransmission timers.
const rtoEvery = 5 * time.Millisecond

// RtoTrace is the retransmission timer of the subflow on a path, as the kernel
// tells it to anybody (sock_diag), and not to the program under test.
type RtoTrace struct {
	points []rtoPoint
	Err    error
}

type rtoPoint struct {
	at  time.Time
	rto time.Duration
}

// Passed returns when the timer, having expired, first was above a threshold after a moment, and
// what it was then.
func (t RtoTrace) Passed(threshold time.Duration, after time.Time) (time.Time, time.Duration, bool) {
	for _, p := range t.points {
		if p.at.After(after) && p.rto > threshold {
			return p.at, p.rto, true
		}
	}
	return time.Time{}, 0, false
}

// rtoWatch follows a timer in a goroutine of its own.
type rtoWatch struct {
	cancel context.CancelFunc
	result chan RtoTrace
}

// WatchRTO follows the longest timer of the subflows from a local address to
// the concentrator.
func WatchRTO(ctx context.Context, r *rig.Rig, local netip.Addr) rtoWatch {
	ctx, cancel := context.WithCancel(ctx)
	w := rtoWatch{cancel, make(chan RtoTrace, 1)}
	go w.follow(ctx, r, local)
	return w
}

// Stop ends the watch and returns what was seen.
func (w rtoWatch) Stop() RtoTrace {
	w.cancel()
	return <-w.result
}

func (w rtoWatch) follow(ctx context.Context, r *rig.Rig, local netip.Addr) {
	var t RtoTrace
	tick := time.NewTicker(rtoEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			w.result <- t
			return
		case <-tick.C:
		}
		var longest time.Duration
		err := r.Client.Do(ctx, func() error {
			var err error
			longest, err = longestRTO(local)
			return err
		})
		if err != nil && ctx.Err() == nil {
			t.Err = err
		}
		if err == nil {
			t.points = append(t.points, rtoPoint{time.Now(), longest})
		}
	}
}

// longestRTO asks the kernel of the calling thread's namespace. Only a timer that
// has expired counts: one may be long because round trips vary much.
func longestRTO(local netip.Addr) (time.Duration, error) {
	var longest time.Duration
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		all, err := netlink.SocketDiagTCPInfo(family)
		if err != nil {
			return 0, err
		}
		for _, s := range all {
			from, ok := netip.AddrFromSlice(s.InetDiagMsg.ID.Source)
			if ok && from.Unmap() == local && s.InetDiagMsg.ID.DestinationPort == rig.Port && s.TCPInfo != nil && s.TCPInfo.Backoff > 0 {
				longest = max(longest, time.Duration(s.TCPInfo.Rto)*time.Microsecond)
			}
		}
	}
	return longest, nil
}
