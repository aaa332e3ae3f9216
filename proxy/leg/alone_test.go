package leg

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"mpproxy/proxy"
)

// TestAlone: a leg stays on its path through flows that are short, and has all of them in
// a flow that goes on.
func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Leg{way: attempt{Candidate: Candidate{RTT: 20 * time.Millisecond}}, alone: alone{is: true}}
		for _, flow := range []struct {
			lasts time.Duration
			after bool
		}{{20 * time.Millisecond, true}, {59 * time.Millisecond, true}, {time.Second, false}, {time.Millisecond, false}} {
			l.begin(&proxy.Flow{})
			time.Sleep(flow.lasts)
			l.alone.rest()
			time.Sleep(time.Minute)
			if got := l.alone.keeps(); got != flow.after {
				t.Errorf("alone %v after a flow of %v", got, flow.lasts)
			}
		}
	})
}

// TestAloneTime: three round trips, within bounds.
func TestAloneTime(t *testing.T) {
	for rtt, want := range map[time.Duration]time.Duration{
		0: aloneLeast, time.Millisecond: aloneLeast, 20 * time.Millisecond: 60 * time.Millisecond, time.Second: aloneMost,
	} {
		if got := aloneTime(rtt); got != want {
			t.Errorf("round trip %v: %v, want %v", rtt, got, want)
		}
	}
}

// TestTakePrefersAlone: a leg that has one path is taken before one that has all.
func TestTakePrefersAlone(t *testing.T) {
	k := pool{most: 4}
	defer k.close()
	key := legKey{user: "alice"}
	var all []*Leg
	for _, is := range []bool{true, false, true, false} {
		near, far := net.Pipe()
		t.Cleanup(func() { _ = far.Close() })
		l := &Leg{Stream: pipeStream{near}, key: key, alone: alone{is: is}}
		all = append(all, l)
		k.put(l)
	}
	for _, want := range []int{2, 0, 3, 1} {
		if got := k.take(key); got != all[want] {
			t.Fatalf("not leg %d was taken", want)
		}
	}
}
