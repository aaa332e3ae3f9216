package subflowbpf

import (
	"time"

	"mpproxy/mptcpsock/uapi"
)

// stallFloor is the least silence that counts as a timeout before the kernel's
// timer ran out: its usual minimum (TCP_RTO_MIN, include/net/tcp.h).
const stallFloor = 200 * time.Millisecond

// A flow is what polling remembers of a subflow between two readings.
type flow struct {
	last Subflow
	// progress is the reading that showed the last acknowledgement of
	// something new, or the first with something in flight.
	progress time.Time
	// told is set once a timeout without the kernel's was reported for the
	// silence that goes on.
	told bool
}

// newFlow begins with the first reading of a subflow.
func newFlow(s Subflow, now time.Time) flow { return flow{last: s, progress: now} }

// compare finds what happened to a subflow between two readings of it.
func (f flow) compare(cur Subflow, now time.Time) (next flow, events []Kind) {
	prev := f.last
	next = flow{last: cur, progress: f.progress, told: f.told}
	progressed := cur.TCP.BytesAcked > prev.TCP.BytesAcked || prev.TCP.Unacked == 0 ||
		cur.TCP.State != prev.TCP.State
	if progressed {
		next.progress, next.told = now, false
	}
	switch {
	case timedOut(prev.TCP, cur.TCP, progressed):
		next.told = true
		events = append(events, Timeout)
	case cur.TCP.Unacked > 0 && !next.told && now.Sub(next.progress) > max(cur.TCP.RTO, stallFloor):
		next.told = true
		events = append(events, Timeout)
	}
	if cur.TCP.TotalRetrans > prev.TCP.TotalRetrans {
		events = append(events, Retransmit)
	}
	if cur.TCP.State != prev.TCP.State {
		events = append(events, State)
	}
	return next, events
}

// timedOut reports whether the kernel's timer ran out between two readings. Since
// Linux 6.7 TotalRTO counts every timeout. Older kernels show only the back-off: it
// has grown, or it has begun anew.
func timedOut(prev, cur uapi.TCPInfo, progressed bool) bool {
	if prev.TimeoutsKnown && cur.TimeoutsKnown {
		return cur.TotalRTO != prev.TotalRTO
	}
	if progressed {
		return cur.Backoff > 0
	}
	return cur.Backoff > prev.Backoff
}

// event describes what was found.
func (f flow) event(kind Kind, token uapi.Token, prev Subflow, now time.Time) Event {
	s := f.last
	e := Event{
		Kind: kind, When: now, Token: token, Local: s.Local, Remote: s.Remote,
		TCPState: s.TCP.State, RTO: s.TCP.RTO, Retransmits: int(s.TCP.Retransmits), SRTT: s.TCP.RTT,
		Cwnd: s.TCP.SndCwnd, InFlight: s.TCP.Unacked, RetransOut: s.TCP.Retrans,
		LostOut: s.TCP.Lost, TotalRetrans: s.TCP.TotalRetrans,
	}
	switch kind {
	case Timeout:
		e.RTO = ranOut(prev.TCP, s.TCP)
	case Retransmit:
		e.Segments = int(s.TCP.TotalRetrans - prev.TCP.TotalRetrans)
	case State:
		e.OldState = prev.TCP.State
	}
	return e
}

// ranOut returns the timeout before the kernel doubled it. Where no two readings show
// the doubling, it returns half, which is right below the limit of 120 s.
func ranOut(prev, cur uapi.TCPInfo) time.Duration {
	switch {
	case cur.Backoff == 0:
		return cur.RTO
	case cur.Backoff == prev.Backoff+1 && cur.BytesAcked == prev.BytesAcked:
		return prev.RTO
	}
	return cur.RTO / 2
}
