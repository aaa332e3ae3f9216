package estimate

import (
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/policy"
)

// window is how long bytes are counted before rates are computed anew.
const window = 500 * time.Millisecond

// Subflow is what successive readings of one subflow tell: how long nothing was
// acknowledged, how much was lost lately, at what rate data moves. The zero value
// is ready for its first reading.
type Subflow struct {
	known      bool
	last       uapi.TCPInfo
	at         time.Time
	inFlightAt time.Time // since when something has been in flight all the time
	fresh      bool      // the last reading showed progress: its RTT is new
	progressAt time.Time // when the peer last acknowledged something new
	timeouts   int
	flights    []flight // since there was progress, the oldest first; few at most

	windowAt   time.Time // begin of the window
	windowFrom byteCount
	loss       lossCount
	pace       pace
	delivery   uint64
	arrival    uint64
	busy       bool
}

// byteCount is what of a reading tells of rates.
type byteCount struct{ sent, acked, received uint64 }

func bytesOf(t uapi.TCPInfo) byteCount { return byteCount{t.BytesSent, t.BytesAcked, t.BytesReceived} }

// flight is how many segments were on their way at a reading: neither acknowledged
// nor given up. A few are kept: readings are close together only where something is
// wrong.
type flight struct {
	at       time.Time
	segments uint32
}

const mostFlights = 6

// Add takes a reading into account.
func (o *Subflow) Add(t uapi.TCPInfo, now time.Time) {
	if !o.known || restarted(o.last, t) {
		o.begin(t, now)
		return
	}
	switch {
	case t.Unacked == 0:
		o.inFlightAt = now
	case o.last.Unacked == 0:
		// Data went into flight since the last reading: after that one, and
		// before the last of it was sent.
		o.inFlightAt = now.Add(-max(t.LastDataSent, 0))
		if o.inFlightAt.Before(o.at) {
			o.inFlightAt = o.at
		}
	}
	if o.fresh = t.Delivered != o.last.Delivered || t.BytesAcked > o.last.BytesAcked; o.fresh {
		o.progressAt = now.Add(-t.LastAckReceived)
	}
	if t.BytesAcked > o.last.BytesAcked {
		o.timeouts = 0
	}
	o.timeouts = max(o.timeouts, int(t.Backoff))
	if t.Unacked == 0 {
		o.timeouts = 0
	}
	o.last, o.at = t, now
	o.fly(t, now)
	if now.Sub(o.windowAt) >= window {
		o.closeWindow(t, now)
	}
	o.loss.add(t, o.pace.known(now), now)
	o.pace.add(t.Delivered, now)
}

// restarted reports whether t is of another socket than before: one with the
// same ends.
func restarted(before, t uapi.TCPInfo) bool {
	return t.BytesSent < before.BytesSent || t.BytesAcked < before.BytesAcked ||
		t.BytesReceived < before.BytesReceived || t.BytesRetrans < before.BytesRetrans
}

// begin takes the first reading. How long its data has been in flight is not
// known. Timeouts that events have told of before it are.
func (o *Subflow) begin(t uapi.TCPInfo, now time.Time) {
	timeouts := int(t.Backoff)
	if !o.known {
		timeouts = max(timeouts, o.timeouts)
	}
	if t.Unacked == 0 {
		timeouts = 0
	}
	*o = Subflow{
		known: true, fresh: true, last: t, at: now, inFlightAt: now, timeouts: timeouts,
		windowAt: now, windowFrom: bytesOf(t), loss: lossCount{at: now, from: countOf(t)},
	}
	o.fly(t, now)
}

func (o *Subflow) closeWindow(t uapi.TCPInfo, now time.Time) {
	sent := t.BytesSent - o.windowFrom.sent
	dt := now.Sub(o.windowAt).Seconds()
	o.delivery = uint64(float64(t.BytesAcked-o.windowFrom.acked) / dt)
	if in := t.BytesReceived - o.windowFrom.received; in > 0 {
		o.arrival = uint64(float64(in) / dt)
	}
	o.busy = sent > 0 || t.BytesReceived > o.windowFrom.received
	o.windowAt, o.windowFrom = now, bytesOf(t)
}

// Timeout notes an event of the retransmission timer, which comes before the
// next reading. Retransmits is how often the kernel has sent the segment again.
func (o *Subflow) Timeout(retransmits int) { o.timeouts = max(o.timeouts, retransmits, 1) }

// fly notes how many segments are on their way.
func (o *Subflow) fly(t uapi.TCPInfo, now time.Time) {
	if o.fresh || t.Unacked == 0 {
		o.flights = o.flights[:0]
	}
	if len(o.flights) == mostFlights { // the one before the last says least
		o.flights = o.flights[:mostFlights-1]
	}
	given := min(t.Sacked+t.Lost, t.Unacked+t.Retrans)
	o.flights = append(o.flights, flight{now, t.Unacked + t.Retrans - given})
}

// young is how many of the segments in flight, and of the attempts of the timer, are
// no proof: sent less than age ago, or not on their way when everything stopped.
func (o *Subflow) young(age time.Duration, now time.Time) int {
	recent := o.last.LastDataSent+now.Sub(o.at) < age
	old := uint32(1)
	for _, f := range o.flights {
		if !recent || now.Sub(f.at) >= age {
			old = max(old, f.segments)
		}
	}
	young := int(o.last.Unacked - min(old, o.last.Unacked))
	if o.timeouts > 0 && recent {
		young++ // what it has just sent again
	}
	return young
}

// stalled is how long data has waited for an acknowledgement of anything new,
// selective ones included. The kernel's stamp of the last acknowledgement is
// exact where readings are far apart, but data that arrives renews it, too: it
// counts where there was progress.
func (o *Subflow) stalled(now time.Time) time.Duration {
	switch {
	case o.last.Unacked == 0:
		return 0
	case o.progressAt.After(o.inFlightAt):
		return now.Sub(o.progressAt)
	}
	return now.Sub(o.inFlightAt)
}

// Alive is when the path last showed that it works: something new was
// acknowledged, or arrived.
func (o *Subflow) Alive() time.Time {
	if o.last.BytesReceived == 0 {
		return o.progressAt
	}
	return later(o.progressAt, o.at.Add(-o.last.LastDataReceived))
}

// settleTime is how long after a standstill timeouts do not count: what waited at
// the other end and on the way arrives first.
const settleTime = 300 * time.Millisecond

// View fills in what a policy is to know of the subflow. What is from before awake
// may be the fault of a machine that stood still.
func (o *Subflow) View(f policy.Subflow, awake, now time.Time) policy.Subflow {
	t := o.last
	f.RTT, f.RTTVar, f.MinRTT, f.RTO = t.RTT, t.RTTVar, t.MinRTT, t.RTO
	f.Backoff = int(t.Backoff)
	f.KeepAlives = int(t.Probes)
	f.Stalled, f.Timeouts = min(o.stalled(now), now.Sub(awake)), o.timeouts
	if now.Sub(awake) < settleTime {
		f.Timeouts, f.Backoff = 0, 0
	}
	f.LossRate, f.LossKnown = o.loss.rate, o.loss.known
	f.LossFloor, f.FloorKnown = o.loss.least()
	f.FreshLoss, f.Fresh = o.loss.since(t)
	f.Starting, f.Share = o.loss.starting, o.pace.share(now)
	f.Delivery, f.Pacing, f.Arrival = o.delivery, t.PacingRate, o.arrival
	f.Unacked, f.Young = int(t.Unacked), o.young(t.RTT+2*t.RTTVar, now)
	f.Quiet = t.LastDataReceived
	f.Sent, f.Received, f.Busy = t.BytesAcked, t.BytesReceived, o.busy
	return f
}

// Last is the newest reading, zero before the first.
func (o *Subflow) Last() uapi.TCPInfo { return o.last }

// Fresh reports whether the newest reading showed progress: its round trip is new.
func (o *Subflow) Fresh() bool { return o.fresh }

// Timeouts counts expiries of the retransmission timer since the last acknowledged
// byte.
func (o *Subflow) Timeouts() int { return o.timeouts }

// Busy reports whether data moved in the last window, either way.
func (o *Subflow) Busy() bool { return o.busy }

// Arrival is the rate at which payload arrived in the last window in which any did,
// in bytes a second.
func (o *Subflow) Arrival() uint64 { return o.arrival }

// Starting reports whether the sender still looks for its rate.
func (o *Subflow) Starting() bool { return o.loss.starting }

// CountLossAnew forgets the losses so far: what a subflow loses as a backup tells
// little.
func (o *Subflow) CountLossAnew(now time.Time) { o.loss.restart(o.last, now) }

// Loss returns the share of segments that had to be sent again in the last window; known
// is false when too few were sent to tell.
func (o *Subflow) Loss() (share float64, known bool) { return o.loss.rate, o.loss.known }

// FoundRate is the rate in bytes a second that the sender has found its path to
// carry, 0 while it does not know.
func (o *Subflow) FoundRate() uint64 {
	if o.last.SndSsthresh >= noThreshold || o.pace.n <= paceMarks {
		return 0
	}
	return uint64(o.pace.best * float64(o.last.SndMSS))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
