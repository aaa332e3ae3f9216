package policy

import "time"

// A box on the way that has lost its state, as a NAT does when it is started anew, drops
// what belongs to connections that it does not know, and lets new ones pass. Then the
// path is well, and the subflow is dead: it occupies nothing, and another one over the
// same path, from another port, takes its place.

// forgotten reports whether a subflow gets no answer while others get answers on its
// path, and for how long it has got none. Where nobody has asked on the path meanwhile it
// has a probe do that.
func (v *View) forgotten(s *Sub) (silence time.Duration, is bool) {
	if s.On == Nowhere || !v.Paths[s.On].Up {
		return 0, false
	}
	if silence = v.unanswered(s); silence == 0 {
		return 0, false
	}
	// The first half is not enough: what came then may have been on its way already.
	if heard := v.Paths[s.On].Heard; heard > 0 && heard < silence/2 {
		return silence, true
	}
	v.Ask(s.On)
	v.LookIn(v.Params.ProbeTimeout / 2)
	return 0, false
}

// forgottenTimeouts is how often the retransmission timer expires before a subflow may
// have been forgotten: one packet and its repetition are lost by chance now and then.
const forgottenTimeouts = 2

// aloneTimeouts is how often it may have expired in a mode that keeps a single subflow
// whatever that loses: by then the path itself has been silent, and the subflow goes on
// when the path does, as TCP.
const aloneTimeouts = 3

// unanswered returns for how long a subflow has got no answer although it has asked for
// one more than once, or in vain for one sign of life; 0: it has not.
func (v *View) unanswered(s *Sub) time.Duration {
	limit := v.StallLimit(s)
	prodded := v.Lasting(s.ID, SignUnheard, s.KeepAlives > 0, limit)
	switch {
	case v.mode.Alone && s.Timeouts > aloneTimeouts:
		return 0
	case s.Timeouts >= forgottenTimeouts && s.Stalled >= limit && s.Quiet >= s.Stalled/2 && s.hasCarried():
		return s.Stalled
	case prodded:
		return s.Quiet
	}
	return 0
}

// hasCarried reports whether any data has got through on a subflow. Where none has,
// another one would get no further: something on the way lets handshakes pass and not
// data, as where packets are too large and nobody says so.
func (s *Sub) hasCarried() bool { return s.Sent > 1 || s.Received > 0 } // a SYN counts as one

// prod asks for signs of life of the subflows on which data stopped arriving in full
// flow: only acknowledgements leave this end then, and nobody answers those.
func (v *View) prod() {
	for i := range v.Subs {
		s := &v.Subs[i]
		if s.Established && s.On != Nowhere && s.Arrival >= v.Params.DoubtRate && s.Quiet < proddedFor {
			v.prodding = v.prodding || s.Quiet >= v.Params.StallTimeout
			v.LookIn(prodLook)
		}
	}
}

// prodLook is how often a subflow is looked at meanwhile.
const prodLook = 250 * time.Millisecond

// proddedFor is for how long after the last data a sign of life is asked for: the kernel
// asks after a second, and repeats that after fifteen.
const proddedFor = 20 * time.Second
