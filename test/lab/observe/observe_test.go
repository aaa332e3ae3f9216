package observe

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/test/netns"
	"mpproxy/test/netns/capture"
)

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
	l, ok := FindLeg(all, []netip.AddrPort{a})
	if !ok || l.token != 7 || l.first != a {
		t.Fatalf("found %+v, %v", l, ok)
	}
	if joins := l.Joins(all); len(joins) != 1 || joins[0].Seq != 900 {
		t.Errorf("joins: %+v", joins)
	}
	links := []*netns.Link{{Client4: a.Addr()}, {Client4: netip.MustParseAddr("198.51.100.2")}}
	want := []Upward{{0.004, 0, 0}, {0.008, 1, 20}}
	if diff := cmp.Diff(want, l.Upload(all, begun, links), cmp.AllowUnexported(Upward{})); diff != "" {
		t.Error(diff)
	}
}

func TestJoinDelays(t *testing.T) {
	want := []float64{3000, 7000} // each token's first join, in the order of the joins
	if diff := cmp.Diff(want, JoinDelays(dialogue(time.Unix(0, 0)))); diff != "" {
		t.Error(diff)
	}
}

func TestArrivalsRate(t *testing.T) {
	a := Arrivals{bytes: []int64{100, 200, 300}}
	if got, want := a.Rate(bin, 3*bin), 500*8/(2*bin).Seconds(); got != want {
		t.Errorf("rate %v, want %v", got, want)
	}
}
