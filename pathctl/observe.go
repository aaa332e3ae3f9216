package pathctl

import (
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/policy"
)

// lossWindow is how long bytes are counted before a loss rate is computed
// anew; lossSample is how many must have been sent for it to mean something.
const (
	lossWindow = 500 * time.Millisecond
	lossSample = 30_000
)

// observation turns successive readings of one subflow into what a policy
// wants to know: how long nothing was acknowledged, how much was lost lately.
type observation struct {
	known      bool
	last       uapi.TCPInfo
	at         time.Time
	inFlightAt time.Time // since when something has been in flight all the time
	timeouts   int

	windowAt   time.Time // begin of the window
	windowInfo uapi.TCPInfo
	lossRate   float64
	lossKnown  bool
	delivery   uint64
	arrival    uint64
	busy       bool
}

// add takes a reading into account.
func (o *observation) add(t uapi.TCPInfo, now time.Time) {
	if !o.known {
		*o = observation{known: true, last: t, at: now, inFlightAt: now, windowAt: now, windowInfo: t}
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
	if t.BytesAcked > o.last.BytesAcked {
		o.timeouts = 0
	}
	o.timeouts = max(o.timeouts, int(t.Backoff))
	if t.Unacked == 0 {
		o.timeouts = 0
	}
	o.last, o.at = t, now
	if now.Sub(o.windowAt) >= lossWindow {
		o.closeWindow(t, now)
	}
}

func (o *observation) closeWindow(t uapi.TCPInfo, now time.Time) {
	sent := t.BytesSent - o.windowInfo.BytesSent
	again := t.BytesRetrans - o.windowInfo.BytesRetrans
	o.lossKnown = sent >= lossSample
	o.lossRate = 0
	if o.lossKnown {
		o.lossRate = float64(again) / float64(sent)
	}
	dt := now.Sub(o.windowAt).Seconds()
	o.delivery = uint64(float64(t.BytesAcked-o.windowInfo.BytesAcked) / dt)
	if in := t.BytesReceived - o.windowInfo.BytesReceived; in > 0 {
		o.arrival = uint64(float64(in) / dt)
	}
	o.busy = sent > 0 || t.BytesReceived > o.windowInfo.BytesReceived
	o.windowAt, o.windowInfo = now, t
}

// timeout notes an event of the retransmission timer, which comes before the
// next reading.
func (o *observation) timeout(retransmits int) { o.timeouts = max(o.timeouts, retransmits, 1) }

// stalled is how long data has waited for an acknowledgement, selective ones
// included. The kernel's own stamp is exact where readings are far apart; what
// was in flight for less long cannot have waited longer.
func (o *observation) stalled(now time.Time) time.Duration {
	if o.last.Unacked == 0 {
		return 0
	}
	return min(now.Sub(o.inFlightAt), o.last.LastAckReceived+now.Sub(o.at))
}

// view fills in what the observation knows of a subflow.
func (o *observation) view(f policy.Subflow, now time.Time) policy.Subflow {
	t := o.last
	f.RTT, f.RTTVar, f.MinRTT, f.RTO = t.RTT, t.RTTVar, t.MinRTT, t.RTO
	f.Backoff = int(t.Backoff)
	f.Stalled, f.Timeouts = o.stalled(now), o.timeouts
	f.LossRate, f.LossKnown = o.lossRate, o.lossKnown
	f.Delivery, f.Pacing, f.Arrival = o.delivery, t.PacingRate, o.arrival
	f.Unacked, f.Quiet = int(t.Unacked), t.LastDataReceived
	f.Sent, f.Received, f.Busy = t.BytesAcked, t.BytesReceived, o.busy
	return f
}
