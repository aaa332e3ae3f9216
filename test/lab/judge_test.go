package main

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/test/netns"
	"mpproxy/test/netns/capture"
	"mpproxy/test/netns/measure"
)

func TestJudgePairs(t *testing.T) {
	got := judge([]judged{
		{single: 10, stock: 5, ours: 10},  // harmful, rescued
		{single: 10, stock: 8, ours: 9},   // harmful, better, not well
		{single: 10, stock: 15, ours: 15}, // good
		{single: 10, stock: 16, ours: 12}, // good, spoilt
	})
	want := sum{pairs: 4, harmful: 2, left: 1, lost: 7, recovered: 6, good: 2, spoilt: 1, worst: 0.9, worstStock: 0.5, spoils: 0.75}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sum{})); diff != "" {
		t.Error(diff)
	}
}

func TestPairsAreDistinct(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range allPairs() {
		seen[p.String()] = true
	}
	if len(seen) != len(allPairs()) || len(seen) < 40 {
		t.Errorf("%d pairs, %d different ones, want 40 or more", len(allPairs()), len(seen))
	}
}

func TestSimultLimitIsTheKernels(t *testing.T) {
	// 1000 * 16777216 * 8 * 10 / (20 * 1000 * 1000 * 9) ms, and 400 ms and 50 ms.
	s := shape{10, 10, 1, 50}
	if got := s.limit().Milliseconds(); got != 7456+400+50 {
		t.Errorf("limit of 10+10 Mbit/s is %d ms, want 7906", got)
	}
	if got := s.strict().Milliseconds(); got != 7456+50 {
		t.Errorf("limit of 10+10 Mbit/s without the join is %d ms, want 7506", got)
	}
}

func ends(local, remote string) (a, b netip.AddrPort) {
	return netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)
}

// dialogue is a leg with a second subflow, seen at the client, next to another
// leg.
func dialogue(begun time.Time) []capture.Segment {
	a, s := ends("192.0.2.2:1000", "203.0.113.1:8443")
	b, _ := ends("198.51.100.2:2000", "203.0.113.1:8443")
	other, _ := ends("192.0.2.2:1001", "203.0.113.1:8443")
	at := func(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }
	return []capture.Segment{
		{At: at(0), Outgoing: true, SYN: true, Capable: true, Src: other, Dst: s},
		{At: at(1), SYN: true, ACK: true, Capable: true, Token: 9, Src: s, Dst: other},
		{At: at(2), Outgoing: true, SYN: true, Capable: true, Src: a, Dst: s, Seq: 100},
		{At: at(3), SYN: true, ACK: true, Capable: true, Token: 7, Src: s, Dst: a},
		{At: at(4), Outgoing: true, ACK: true, Src: a, Dst: s, Seq: 101, Len: 10, DSS: capture.Mapping{Length: 20, Data: 5000, Subflow: 1, Wide: true}},
		{At: at(5), Outgoing: true, SYN: true, Join: true, Token: 7, Src: b, Dst: s, Seq: 900},
		{At: at(6), Outgoing: true, SYN: true, Join: true, Token: 7, Src: b, Dst: s, Seq: 900}, // again
		{At: at(7), Outgoing: true, SYN: true, Join: true, Token: 9, Src: b, Dst: s, Seq: 901}, // the other leg's
		{At: at(8), Outgoing: true, ACK: true, Src: b, Dst: s, Seq: 911, Len: 10, DSS: capture.Mapping{Length: 10, Data: 5020, Subflow: 11, Wide: true}},
	}
}

func TestLegInCapture(t *testing.T) {
	begun := time.Unix(0, 0)
	all := dialogue(begun)
	a, _ := ends("192.0.2.2:1000", "203.0.113.1:8443")
	l, ok := findLeg(all, []netip.AddrPort{a})
	if !ok || l.token != 7 || l.first != a {
		t.Fatalf("found %+v, %v", l, ok)
	}
	if joins := l.joins(all); len(joins) != 1 || joins[0].Seq != 900 {
		t.Errorf("joins: %+v", joins)
	}
	links := []*netns.Link{{Client4: a.Addr()}, {Client4: netip.MustParseAddr("198.51.100.2")}}
	want := []upward{{0.004, 0, 0}, {0.008, 1, 20}}
	if diff := cmp.Diff(want, l.upload(all, begun, links), cmp.AllowUnexported(upward{})); diff != "" {
		t.Error(diff)
	}
}

func TestJoinDelays(t *testing.T) {
	want := []float64{3000, 7000} // each token's first join, in the order of the joins
	if diff := cmp.Diff(want, joinDelays(dialogue(time.Unix(0, 0)))); diff != "" {
		t.Error(diff)
	}
}

func TestArrivalsRate(t *testing.T) {
	a := arrivals{bytes: []int64{100, 200, 300}}
	if got, want := a.rate(bin, 3*bin), 500*8/(2*bin).Seconds(); got != want {
		t.Errorf("rate %v, want %v", got, want)
	}
}

func TestThin(t *testing.T) {
	points := make([]measure.Point, 100)
	if got := len(thin(points, 30)); got != 30 {
		t.Errorf("%d points, want 30", got)
	}
	if got := len(thin(points, 200)); got != 100 {
		t.Errorf("%d points, want all 100", got)
	}
}

func TestProgressTimeLeft(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	two := []experiment{{name: "a", takes: time.Minute}, {name: "b", takes: 2 * time.Minute}}
	p := newProgress(&out, two)
	p.now = func() time.Time { return now }
	p.begin(two[0])
	p.jobs(4)
	now = now.Add(20 * time.Second)
	p.done()
	// A quarter took 20 s: a minute is left of this one, two of the next.
	if got := p.remaining(now); got != 3*time.Minute {
		t.Errorf("%v left, want 3m", got)
	}
}
