package collect

import (
	"time"

	"mpproxy/internal/status"
	"mpproxy/pathctl/pathstate"
)

// Believed adds to a path's status what is believed about the path at now. What legs that
// began there have met comes first: it tells of the whole chain.
func Believed(p *status.Path, s, legs pathstate.State, now time.Time) {
	p.RTTMillis = float64(s.RTT.Lately(now)) / float64(time.Millisecond)
	p.BestReceive, p.BestSend = 8*s.Down.Lately(now), 8*s.Up.Lately(now)
	if share, known := s.Loss.Lately(now); known {
		p.LossShare = share
	}
	k, t, ok := s.Worst(now)
	if lk, lt, met := legs.LeftAlone(now); met {
		k, t, ok = lk, lt, true
	}
	if !ok {
		return
	}
	p.Trouble = &status.Trouble{
		Kind: k.String(), Reason: t.Reason, Failures: t.Failures, Since: t.Since,
		LeftAloneSeconds: max(0, t.Until.Sub(now)).Seconds(), Unproven: !p.Metered && s.Unproven(now),
	}
}
