package engine

import "time"

// latency is a round trip of a path, and when it was measured.
type latency struct {
	rtt time.Duration
	at  time.Time
}

// latencyTrust is how long a round trip is good for choosing where to begin.
const latencyTrust = 10 * time.Minute

// Latency is the round trip of a path that connections and probes measured lately;
// 0 means that it is not known.
func (e *Engine) Latency(path string) time.Duration {
	l := (*e.latencies.Load())[path]
	if time.Since(l.at) > latencyTrust {
		return 0
	}
	return l.rtt
}

// tellLatency tells the data path of a round trip that has changed by more than an
// eighth, or whose measurement is getting old.
func (e *Engine) tellLatency(path string, h *health) {
	known := (*e.latencies.Load())[path]
	if d := (h.rtt - known.rtt).Abs(); d <= known.rtt/8 && h.rttAt.Sub(known.at) < latencyTrust/2 {
		return
	}
	out := make(map[string]latency)
	for name, h := range e.health {
		if h.rtt > 0 {
			out[name] = latency{h.rtt, h.rttAt}
		}
	}
	e.latencies.Store(&out)
}
