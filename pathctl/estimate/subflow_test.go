package estimate

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/policy"
)

// at is a reading at a time since the first one.
type at struct {
	ms  int
	tcp uapi.TCPInfo
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

var start = time.Unix(1_700_000_000, 0)

func observed(readings []at) (o Subflow, now time.Time) {
	for _, r := range readings {
		now = start.Add(ms(r.ms))
		o.Add(r.tcp, now)
	}
	return o, now
}

func TestObservationStalled(t *testing.T) {
	for _, tt := range []struct {
		name     string
		readings []at
		later    int // milliseconds after the last reading
		want     int
	}{
		{"nothing in flight", []at{{0, uapi.TCPInfo{LastAckReceived: ms(900)}}, {100, uapi.TCPInfo{LastAckReceived: ms(1000)}}}, 50, 0},
		{"in flight at the first reading: since then", []at{{0, uapi.TCPInfo{Unacked: 3, LastAckReceived: ms(500)}}}, 40, 40},
		{"flight began when the last data was sent", []at{
			{0, uapi.TCPInfo{LastAckReceived: ms(500)}},
			{100, uapi.TCPInfo{Unacked: 1, LastAckReceived: ms(600), LastDataSent: ms(30)}},
		}, 0, 30},
		{"but not before the last reading without", []at{
			{0, uapi.TCPInfo{LastAckReceived: ms(500)}},
			{100, uapi.TCPInfo{Unacked: 1, LastAckReceived: ms(600), LastDataSent: ms(300)}},
		}, 0, 100},
		{"acknowledged in between", []at{
			{0, uapi.TCPInfo{Unacked: 9}},
			{500, uapi.TCPInfo{Unacked: 9, Delivered: 1, LastAckReceived: ms(20)}},
		}, 5, 25},
		{"only data of the peer arrived in between", []at{
			{0, uapi.TCPInfo{Unacked: 9}},
			{500, uapi.TCPInfo{Unacked: 9, LastAckReceived: ms(20)}},
		}, 5, 505},
		{"not acknowledged", []at{
			{0, uapi.TCPInfo{}},
			{100, uapi.TCPInfo{Unacked: 9, LastAckReceived: ms(90), LastDataSent: ms(80)}},
			{400, uapi.TCPInfo{Unacked: 9, LastAckReceived: ms(390), LastDataSent: ms(10)}},
		}, 0, 380},
		{"over", []at{{0, uapi.TCPInfo{Unacked: 9}}, {400, uapi.TCPInfo{LastAckReceived: ms(10)}}}, 500, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, now := observed(tt.readings)
			if got := o.stalled(now.Add(ms(tt.later))); got != ms(tt.want) {
				t.Errorf("stalled for %v, want %v", got, ms(tt.want))
			}
		})
	}
}

func TestObservationYoung(t *testing.T) {
	sent := func(ago int, inFlight, delivered uint32) uapi.TCPInfo {
		return uapi.TCPInfo{Unacked: inFlight, Delivered: delivered, LastDataSent: ms(ago)}
	}
	for _, tt := range []struct {
		name     string
		readings []at
		want     int
	}{
		{"nothing in flight", []at{{0, sent(0, 0, 0)}}, 0},
		{"the last was sent long ago", []at{{0, sent(150, 7, 0)}}, 0},
		{"no reading is old enough: one has waited", []at{{0, sent(0, 7, 0)}, {90, sent(0, 9, 0)}}, 8},
		{"those of an old reading are old", []at{{0, sent(0, 7, 0)}, {100, sent(0, 9, 0)}}, 2},
		{"the newest of the old ones counts", []at{{0, sent(0, 1, 0)}, {20, sent(0, 5, 0)}, {80, sent(0, 7, 0)}, {130, sent(0, 9, 0)}}, 4},
		{"progress makes what is in flight young", []at{{0, sent(0, 7, 0)}, {100, sent(0, 9, 1)}}, 8},
		{"more readings than are kept", []at{
			{0, sent(0, 2, 0)},
			{10, sent(0, 3, 0)},
			{20, sent(0, 4, 0)},
			{30, sent(0, 5, 0)},
			{40, sent(0, 6, 0)},
			{50, sent(0, 7, 0)},
			{60, sent(0, 8, 0)},
			{70, sent(0, 9, 0)},
			{150, sent(0, 10, 0)},
		}, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, now := observed(tt.readings)
			if got := o.young(ms(100), now); got != tt.want {
				t.Errorf("%d are young, want %d", got, tt.want)
			}
		})
	}
}

func TestObservationTimeouts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before int // an event before the first reading
		first  uapi.TCPInfo
		events []int
		then   []uapi.TCPInfo
		want   int
	}{
		{"none", 0, uapi.TCPInfo{Unacked: 1}, nil, nil, 0},
		{"known by the first reading", 0, uapi.TCPInfo{Unacked: 1, Backoff: 2}, nil, nil, 2},
		{"event before the first reading", 1, uapi.TCPInfo{Unacked: 1}, nil, nil, 1},
		{"event and nothing in flight any more", 1, uapi.TCPInfo{}, nil, nil, 0},
		{"events", 0, uapi.TCPInfo{Unacked: 1}, []int{1, 2}, nil, 2},
		{"event of a poller, which does not count", 0, uapi.TCPInfo{Unacked: 1}, []int{0}, nil, 1},
		{"kept without progress", 0, uapi.TCPInfo{Unacked: 1}, []int{2}, []uapi.TCPInfo{{Unacked: 1, Backoff: 1}}, 2},
		{"back-off without an event", 0, uapi.TCPInfo{Unacked: 1}, nil, []uapi.TCPInfo{{Unacked: 1, Backoff: 3}}, 3},
		{"over with an acknowledged byte", 0, uapi.TCPInfo{Unacked: 2}, []int{3}, []uapi.TCPInfo{{Unacked: 1, BytesAcked: 1}}, 0},
		{"over with nothing in flight", 0, uapi.TCPInfo{Unacked: 2}, []int{3}, []uapi.TCPInfo{{}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var o Subflow
			if tt.before > 0 {
				o.Timeout(tt.before)
			}
			o.Add(tt.first, start)
			for _, n := range tt.events {
				o.Timeout(n)
			}
			for i, r := range tt.then {
				o.Add(r, start.Add(ms(10*(i+1))))
			}
			if o.timeouts != tt.want {
				t.Errorf("%d timeouts, want %d", o.timeouts, tt.want)
			}
		})
	}
}

// sent is a reading after a number of segments of 1,000 bytes, some of them
// sent again.
func sent(segments, again uint64) uapi.TCPInfo {
	return uapi.TCPInfo{DataSegsOut: uint32(segments), TotalRetrans: uint32(again), SndSsthresh: 100, BytesSent: 1000 * segments, BytesRetrans: 1000 * again, BytesAcked: 1000 * (segments - again)}
}

// again is a reading after segments of which some were sent again, some of
// those needlessly.
func again(segments, again, needlessly uint32) uapi.TCPInfo {
	return uapi.TCPInfo{DataSegsOut: segments, TotalRetrans: again, DsackDups: needlessly, SndSsthresh: 100}
}

// slow is a reading in slow start.
func slow(segments, again uint64) uapi.TCPInfo {
	t := sent(segments, again)
	t.SndSsthresh = noThreshold
	return t
}

func TestObservationLoss(t *testing.T) {
	type loss struct {
		Known bool
		Rate  float64
	}
	for _, tt := range []struct {
		name     string
		readings []at
		want     loss
	}{
		{"nothing sent", []at{{0, sent(0, 0)}, {500, sent(0, 0)}, {3000, sent(0, 0)}}, loss{}},
		{"before the end of the window", []at{{0, sent(0, 0)}, {499, sent(100, 50)}}, loss{}},
		{"100 segments tell", []at{{0, sent(0, 0)}, {500, sent(100, 10)}}, loss{true, 0.1}},
		{"no loss", []at{{0, sent(0, 0)}, {500, sent(100, 0)}}, loss{true, 0}},
		{"99 do not", []at{{0, sent(0, 0)}, {500, sent(99, 5)}}, loss{}},
		{"they are counted on", []at{{0, sent(0, 0)}, {500, sent(60, 5)}, {1000, sent(120, 30)}}, loss{true, 0.25}},
		{"but not for ever", []at{{0, sent(0, 0)}, {1000, sent(12, 5)}, {2000, sent(29, 15)}, {2500, sent(60, 20)}}, loss{}},
		{"fewer tell after a long time", []at{{0, sent(0, 0)}, {1000, sent(20, 5)}, {2000, sent(40, 10)}}, loss{true, 0.25}},
		{"the first window is forgotten", []at{{0, sent(0, 0)}, {500, sent(100, 50)}, {1000, sent(200, 60)}}, loss{true, 0.1}},
		{"what was before the first reading does not count", []at{{0, sent(1000, 900)}, {500, sent(1100, 910)}}, loss{true, 0.1}},
		{"unknown again when little is sent", []at{{0, sent(0, 0)}, {500, sent(100, 50)}, {2500, sent(110, 50)}}, loss{}},
		{"counters that start again", []at{{0, sent(1000, 500)}, {500, sent(100, 10)}}, loss{}},
		{"and what comes then", []at{{0, sent(1000, 500)}, {500, sent(100, 10)}, {1000, sent(200, 30)}}, loss{true, 0.2}},
		{"reordering is no loss", []at{{0, sent(0, 0)}, {500, again(100, 20, 15)}}, loss{true, 0.05}},
		{"reports from before", []at{{0, sent(0, 0)}, {500, again(100, 20, 30)}}, loss{true, 0}},
		{"slow start", []at{{0, slow(0, 0)}, {500, slow(100, 50)}, {1000, slow(200, 90)}}, loss{}},
		{"until it is mended", []at{{0, slow(10, 0)}, {500, slow(100, 50)}, {600, sent(200, 90)}, {700, sent(250, 99)}, {850, sent(300, 110)}, {1400, sent(400, 115)}}, loss{true, 0.05}},
		{"slow start does not last for ever", []at{{0, slow(0, 0)}, {100, slow(10, 0)}, {3100, slow(100, 50)}, {3400, slow(200, 100)}, {3900, slow(300, 120)}}, loss{true, 0.2}},
		{"the count of segments turns over", []at{
			{0, uapi.TCPInfo{DataSegsOut: 1<<32 - 20}}, {500, uapi.TCPInfo{DataSegsOut: 80, SndSsthresh: 100, TotalRetrans: 10, BytesSent: 60_000}},
		}, loss{true, 0.1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, _ := observed(tt.readings)
			if diff := cmp.Diff(tt.want, loss{o.loss.known, o.loss.rate}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestOverflow: a sender of 400 segments a second over a path of 40 ms that loses a
// quarter of them. Only where as much as ever gets through and round trips are long
// it is its own doing, and only until that is mended.
func TestOverflow(t *testing.T) {
	type quarter struct {
		delivered, lost uint32 // in a quarter of a second
		rtt             int
		state           uapi.CAState
	}
	well := quarter{100, 0, 50, uapi.CAOpen}
	full := quarter{95, 25, 90, uapi.CARecovery}
	mends := quarter{20, 15, 50, uapi.CALoss}
	bad := quarter{70, 30, 45, uapi.CARecovery}
	for _, tt := range []struct {
		name  string
		then  []quarter // after five quiet seconds
		known bool
		floor float64
	}{
		{"well", []quarter{well, well, well, well}, true, 0},
		{"the path loses", []quarter{bad, bad, bad, bad}, true, 0.3},
		{"its queue is full", []quarter{full, full, full, full}, false, 0},
		{"and mended", []quarter{full, mends, mends, well, well, well, well}, true, 0},
		{"mending takes a time", []quarter{well, full, mends, mends}, false, 0},
		{"but not for ever", []quarter{full, bad, bad, bad, bad, bad, bad}, true, 0.3},
		{"full round trips of a path that loses", []quarter{{70, 30, 90, uapi.CARecovery}, {70, 30, 90, uapi.CARecovery}, {70, 30, 90, uapi.CARecovery}, {70, 30, 90, uapi.CARecovery}}, true, 0.3},
		{"a thin flow on a path that loses", []quarter{{95, 30, 45, uapi.CARecovery}, {95, 30, 45, uapi.CARecovery}, {95, 30, 45, uapi.CARecovery}, {95, 30, 45, uapi.CARecovery}}, true, 0.24},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var o Subflow
			info := uapi.TCPInfo{SndSsthresh: 100, MinRTT: ms(40), Unacked: 20}
			o.Add(info, start)
			quarters := append(slices.Repeat([]quarter{well}, 20), tt.then...)
			for i, q := range quarters {
				sent := q.delivered + q.lost // what is lost is sent again
				info.DataSegsOut += sent
				info.TotalRetrans += q.lost
				info.Delivered += q.delivered
				info.RTT, info.CAState = ms(q.rtt), q.state
				o.Add(info, start.Add(time.Duration(i+1)*250*time.Millisecond))
			}
			floor, known := o.loss.least()
			if known != tt.known || math.Abs(floor-tt.floor) > 0.01 {
				t.Errorf("%.2f (%v), want %.2f (%v)", floor, known, tt.floor, tt.known)
			}
		})
	}
}

func TestObservationRates(t *testing.T) {
	type rates struct {
		Delivery, Arrival uint64
		Busy              bool
	}
	data := func(acked, received uint64) uapi.TCPInfo {
		return uapi.TCPInfo{BytesSent: acked, BytesAcked: acked, BytesReceived: received}
	}
	for _, tt := range []struct {
		name     string
		readings []at
		want     rates
	}{
		{"one reading", []at{{0, data(5, 5)}}, rates{}},
		{"both ways", []at{{0, data(1000, 1000)}, {500, data(2000, 3000)}}, rates{2000, 4000, true}},
		{"arrival is that of the last window with any", []at{{0, data(0, 0)}, {500, data(0, 500)}, {1500, data(100, 500)}}, rates{100, 1000, true}},
		{"nothing any more", []at{{0, data(0, 0)}, {500, data(100, 500)}, {1500, data(100, 500)}}, rates{0, 1000, false}},
		{"a window may be long", []at{{0, data(0, 0)}, {400, data(1, 1)}, {4000, data(8000, 0)}}, rates{}},
		{"counters that start again", []at{{0, data(9000, 9000)}, {1000, data(10, 10)}, {2000, data(30, 50)}}, rates{20, 40, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, _ := observed(tt.readings)
			if diff := cmp.Diff(tt.want, rates{o.delivery, o.arrival, o.busy}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestObservationView(t *testing.T) {
	o, now := observed([]at{
		{0, uapi.TCPInfo{}},
		{500, uapi.TCPInfo{
			RTT: ms(40), RTTVar: ms(4), MinRTT: ms(30), RTO: ms(400), Backoff: 1, Unacked: 7, PacingRate: 99,
			DataSegsOut: 120, TotalRetrans: 12, SndSsthresh: 100, BytesSent: 60_000, BytesAcked: 50_000, BytesReceived: 1000,
			LastDataSent: ms(20), LastAckReceived: ms(60), LastDataReceived: ms(70),
		}},
	})
	want := policy.Subflow{
		ID: 3, Path: "dsl0", Established: true,
		RTT: ms(40), RTTVar: ms(4), MinRTT: ms(30), RTO: ms(400), Backoff: 1,
		Stalled: ms(20), Unacked: 7, Young: 7, Timeouts: 1, LossRate: 0.1, LossKnown: true,
		Delivery: 100_000, Pacing: 99, Arrival: 2000, Quiet: ms(70), Sent: 50_000, Received: 1000, Busy: true,
	}
	if diff := cmp.Diff(want, o.View(policy.Subflow{ID: 3, Path: "dsl0", Established: true}, time.Time{}, now)); diff != "" {
		t.Error(diff)
	}
}

// TestObservationAfterAStandstill: the silence of a machine that stood still is
// not held against a path.
func TestObservationAfterAStandstill(t *testing.T) {
	o, now := observed([]at{{0, uapi.TCPInfo{Unacked: 9}}, {3000, uapi.TCPInfo{Unacked: 9, Backoff: 2, LastAckReceived: ms(3000)}}})
	for _, tt := range []struct {
		after    int // milliseconds since the end of the standstill
		stalled  int
		timeouts int
	}{{10, 10, 0}, {299, 299, 0}, {300, 300, 2}} {
		f := o.View(policy.Subflow{}, now, now.Add(ms(tt.after)))
		if f.Stalled != ms(tt.stalled) || f.Timeouts != tt.timeouts {
			t.Errorf("%d ms later: stalled for %v with %d timeouts, want %v and %d", tt.after, f.Stalled, f.Timeouts, ms(tt.stalled), tt.timeouts)
		}
	}
}
