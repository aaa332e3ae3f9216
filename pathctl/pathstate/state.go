package pathstate

import "time"

// State is what is believed about one path. The zero value knows nothing.
type State struct {
	RTT        RTT
	Up, Down   Rate // what it carried from here, and to here, at its best lately
	Leg        Leg
	Handshakes Handshakes
	JoinedAt   time.Time // when a subflow was last established; zero: never
	carriedAt  time.Time // when a subflow last got an answer; zero: never
	Loss       Loss

	troubles    [kinds]Trouble
	noted       noted
	tryingUntil time.Time // a subflow is being opened
	qualifiedAt time.Time // it answered RequalifyProbes handshakes in a row
}

// RTT is the round trip of a path, over connections and probes.
type RTT struct {
	Smoothed time.Duration // 0: not known
	Var      time.Duration // mean deviation, as RFC 6298 section 2 has it
	Least    time.Duration // since the path came up
	At       time.Time     // when it was last measured
}

const (
	// rttOld is when a smoothed round trip begins anew: what is old says little
	// beside what is new.
	rttOld = 500 * time.Millisecond
	// Lately is how long a measurement is good for choosing where to begin.
	Lately = 10 * time.Minute
)

// Sample smooths one more measurement in; one that is not positive tells nothing.
func (r *RTT) Sample(rtt time.Duration, now time.Time) {
	switch {
	case rtt <= 0:
		return
	case r.Smoothed == 0 || now.Sub(r.At) >= rttOld:
		r.Replace(rtt, now)
		return
	}
	d := rtt - r.Smoothed
	r.Var += (d.Abs() - r.Var) / 4
	r.Smoothed += d / 8
	r.Least, r.At = min(r.Least, rtt), now
}

// Replace takes a measurement that is exact, with nothing in it from before.
func (r *RTT) Replace(rtt time.Duration, now time.Time) {
	if r.Least == 0 || rtt < r.Least {
		r.Least = rtt
	}
	r.Smoothed, r.Var, r.At = rtt, rtt/2, now
}

// Lately returns the round trip if it is good for choosing where to begin, else 0.
func (r *RTT) Lately(now time.Time) time.Duration {
	if now.Sub(r.At) > Lately {
		return 0
	}
	return r.Smoothed
}

// Rate is the most that one subflow has carried lately, in bytes a second: the path
// carries as much at least.
type Rate struct {
	Bytes uint64 // 0: not known
	At    time.Time
}

// Saw notes that the path carried so many bytes a second. Less replaces more only when
// that is old.
func (r *Rate) Saw(bytes uint64, now time.Time) {
	if bytes >= r.Bytes || now.Sub(r.At) > Lately {
		*r = Rate{bytes, now}
	}
}

// Lately returns the rate if it is not old, else 0.
func (r *Rate) Lately(now time.Time) uint64 {
	if now.Sub(r.At) > Lately {
		return 0
	}
	return r.Bytes
}

// Loss is the share of segments that a subflow last had to send again, 0 to 1.
type Loss struct {
	Share float64
	At    time.Time // when it was measured; zero: never
}

// Lately returns the share; known is false if it is not known, or old.
func (l Loss) Lately(now time.Time) (share float64, known bool) {
	return l.Share, !l.At.IsZero() && now.Sub(l.At) <= Lately
}
