package subflowbpf

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mpproxy/mptcpsock/uapi"
)

const ms = time.Millisecond

// reading is one reading of a subflow, at a time in ms after the first.
type reading struct {
	at   int
	tcp  uapi.TCPInfo
	want []Kind
}

// established fills in what all readings have in common.
func established(tcp uapi.TCPInfo) uapi.TCPInfo {
	if tcp.State == 0 {
		tcp.State = uapi.TCPEstablished
	}
	if tcp.RTO == 0 {
		tcp.RTO = 220 * ms
	}
	return tcp
}

func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		name     string
		readings []reading
	}{
		{"idle for ever", []reading{{at: 0}, {at: 10_000}, {at: 1_000_000}}},
		{"data is acknowledged", []reading{
			{at: 0, tcp: uapi.TCPInfo{Unacked: 5, BytesAcked: 10}},
			{at: 200, tcp: uapi.TCPInfo{Unacked: 5, BytesAcked: 20}},
			{at: 400, tcp: uapi.TCPInfo{Unacked: 5, BytesAcked: 30}},
		}},
		{"first data after a long idle time", []reading{
			{at: 0},
			{at: 60_000, tcp: uapi.TCPInfo{Unacked: 5}},
			{at: 60_219, tcp: uapi.TCPInfo{Unacked: 5}},
		}},
		{"silence is told once, before the kernel's timer and instead of its first", []reading{
			{at: 0, tcp: uapi.TCPInfo{Unacked: 5}},
			{at: 220, tcp: uapi.TCPInfo{Unacked: 5}},
			{at: 221, tcp: uapi.TCPInfo{Unacked: 5}, want: []Kind{Timeout}},
			{at: 300, tcp: uapi.TCPInfo{Unacked: 5}},
			{at: 320, tcp: uapi.TCPInfo{Unacked: 5, Backoff: 1, RTO: 440 * ms, TotalRetrans: 1}, want: []Kind{Timeout, Retransmit}},
		}},
		{"silence on a fast path counts from 200 ms on", []reading{
			{at: 0, tcp: uapi.TCPInfo{Unacked: 5, RTO: 40 * ms}},
			{at: 200, tcp: uapi.TCPInfo{Unacked: 5, RTO: 40 * ms}},
			{at: 201, tcp: uapi.TCPInfo{Unacked: 5, RTO: 40 * ms}, want: []Kind{Timeout}},
		}},
		{"back-off grows, Linux before 6.7", []reading{
			{at: 0, tcp: uapi.TCPInfo{Unacked: 5}},
			{at: 100, tcp: uapi.TCPInfo{Unacked: 5, Backoff: 1, RTO: 440 * ms}, want: []Kind{Timeout}},
			{at: 200, tcp: uapi.TCPInfo{Unacked: 5, Backoff: 1, RTO: 440 * ms}},
			{at: 900, tcp: uapi.TCPInfo{Unacked: 5, Backoff: 3, RTO: 1760 * ms}, want: []Kind{Timeout}},
		}},
		{"back-off begins anew after progress, Linux before 6.7", []reading{
			{at: 0, tcp: uapi.TCPInfo{Unacked: 5, Backoff: 2}},
			{at: 100, tcp: uapi.TCPInfo{Unacked: 5, Backoff: 1, BytesAcked: 1}, want: []Kind{Timeout}},
		}},
		{"the counter tells of timeouts that are over", []reading{
			{at: 0, tcp: uapi.TCPInfo{Unacked: 5, TimeoutsKnown: true, TotalRTO: 65_535}},
			{at: 100, tcp: uapi.TCPInfo{Unacked: 5, TimeoutsKnown: true, BytesAcked: 9}, want: []Kind{Timeout}},
			{at: 110, tcp: uapi.TCPInfo{Unacked: 5, TimeoutsKnown: true, BytesAcked: 9, Backoff: 1}},
		}},
		{"fast retransmission is no timeout", []reading{
			{at: 0, tcp: uapi.TCPInfo{Unacked: 5, TotalRetrans: 1}},
			{at: 100, tcp: uapi.TCPInfo{Unacked: 5, TotalRetrans: 4, BytesAcked: 1}, want: []Kind{Retransmit}},
		}},
		{"a SYN without answer", []reading{
			{at: 0, tcp: uapi.TCPInfo{State: uapi.TCPSynSent, Unacked: 1, RTO: time.Second}},
			{at: 1_001, tcp: uapi.TCPInfo{State: uapi.TCPSynSent, Unacked: 1, RTO: time.Second}, want: []Kind{Timeout}},
			{at: 1_100, tcp: uapi.TCPInfo{}, want: []Kind{State}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Unix(1_000, 0)
			f := newFlow(Subflow{TCP: established(tt.readings[0].tcp)}, start)
			for i, r := range tt.readings[1:] {
				var got []Kind
				f, got = f.compare(Subflow{TCP: established(r.tcp)}, start.Add(time.Duration(r.at)*ms))
				if diff := cmp.Diff(r.want, got); diff != "" {
					t.Errorf("reading %d at %d ms: %s", i+1, r.at, diff)
				}
			}
		})
	}
}

func TestRanOut(t *testing.T) {
	for _, tt := range []struct {
		name      string
		prev, cur uapi.TCPInfo
		want      time.Duration
	}{
		{"silence, the timer still runs", uapi.TCPInfo{RTO: 220 * ms}, uapi.TCPInfo{RTO: 220 * ms}, 220 * ms},
		{"one back-off seen", uapi.TCPInfo{RTO: 120 * time.Second, Backoff: 8}, uapi.TCPInfo{RTO: 120 * time.Second, Backoff: 9}, 120 * time.Second},
		{"two at once", uapi.TCPInfo{RTO: 220 * ms}, uapi.TCPInfo{RTO: 880 * ms, Backoff: 2}, 440 * ms},
		{"after progress", uapi.TCPInfo{RTO: 220 * ms}, uapi.TCPInfo{RTO: 600 * ms, Backoff: 1, BytesAcked: 5}, 300 * ms},
	} {
		if got := ranOut(tt.prev, tt.cur); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestConnectionTake follows a connection whose subflows come and go.
func TestConnectionTake(t *testing.T) {
	one := Subflow{ID: 1, Local: netip.MustParseAddrPort("192.0.2.1:1"), Remote: netip.MustParseAddrPort("192.0.2.2:2"), TCP: established(uapi.TCPInfo{TotalRetrans: 1})}
	two := one
	two.ID, two.Local = 2, netip.MustParseAddrPort("198.51.100.1:1")
	again := two // the same addresses, another subflow
	again.ID = 3
	again.TCP.State = uapi.TCPSynSent
	worse := one
	worse.TCP.TotalRetrans = 4

	now := time.Unix(1_000, 0)
	c := connection{token: 7}
	event := func(kind Kind, s Subflow, change func(*Event)) Event {
		e := Event{
			Kind: kind, When: now, Token: 7, Local: s.Local, Remote: s.Remote,
			TCPState: s.TCP.State, RTO: s.TCP.RTO, TotalRetrans: s.TCP.TotalRetrans,
		}
		change(&e)
		return e
	}
	for i, step := range []struct {
		subflows []Subflow
		want     []Event
	}{
		{[]Subflow{one}, nil}, // what is there at first is no news
		{[]Subflow{one, two}, []Event{event(State, two, func(*Event) {})}},
		{[]Subflow{worse, two}, []Event{event(Retransmit, worse, func(e *Event) { e.Segments = 3 })}},
		{[]Subflow{worse, again}, []Event{
			event(State, again, func(*Event) {}),
			event(State, two, func(e *Event) { e.OldState, e.TCPState = uapi.TCPEstablished, uapi.TCPClose }),
		}},
		{nil, []Event{
			event(State, worse, func(e *Event) { e.OldState, e.TCPState = uapi.TCPEstablished, uapi.TCPClose }),
			event(State, again, func(e *Event) { e.OldState, e.TCPState = uapi.TCPSynSent, uapi.TCPClose }),
		}},
		{[]Subflow{one}, []Event{event(State, one, func(*Event) {})}},
	} {
		got := c.take(step.subflows, now)
		byAddr := cmpopts.SortSlices(func(a, b Event) bool { return a.Local.Compare(b.Local) < 0 })
		if i == 3 {
			byAddr = cmpopts.SortSlices(func(a, b Event) bool { return a.TCPState < b.TCPState })
		}
		if diff := cmp.Diff(step.want, got, byAddr, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
	}
}

func TestInterval(t *testing.T) {
	busy := func(rto time.Duration) Subflow { return Subflow{TCP: uapi.TCPInfo{Unacked: 1, RTO: rto}} }
	for _, tt := range []struct {
		name     string
		subflows []Subflow
		n        int
		want     time.Duration
	}{
		{"nothing in flight", []Subflow{{TCP: uapi.TCPInfo{RTO: 200 * ms}}}, 1, idle},
		{"no subflows", nil, 1, idle},
		{"a quarter of the RTO", []Subflow{busy(212 * ms)}, 1, 53 * ms},
		{"the shortest counts", []Subflow{busy(360 * ms), busy(200 * ms)}, 1, 50 * ms},
		{"no more often than that", []Subflow{busy(4 * ms)}, 1, fastest},
		{"no less often than that", []Subflow{busy(10 * time.Second)}, 1, slowest},
		{"being opened", []Subflow{{TCP: uapi.TCPInfo{State: uapi.TCPSynSent, RTO: time.Second}}}, 1, slowest},
		{"two thousand busy ones share", []Subflow{busy(200 * ms)}, 2000, 200 * ms},
		{"nine thousand idle ones share", nil, 9000, 900 * ms},
	} {
		if got := interval(tt.subflows, tt.n); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
