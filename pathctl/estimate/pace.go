package estimate

import "time"

// A subflow's rate is measured over paceMarks marks, paceGap apart at least: one
// second. Where marks are farther apart than paceStale nobody has looked, and it
// begins anew. The best rate is kept for paceMemory, and is worth something when
// rates have been known for paceLeast: who loses from the start has no good past.
const (
	paceMarks  = 4
	paceGap    = 250 * time.Millisecond
	paceStale  = time.Second
	paceMemory = 30 * time.Second
	paceLeast  = 3 * time.Second
)

// pace compares what gets through on a subflow with what did before.
type pace struct {
	marks  [paceMarks + 1]paceMark // a ring
	n      int                     // marks so far
	since  time.Time               // of the first rate
	rate   float64                 // segments a second
	best   float64
	bestAt time.Time
}

type paceMark struct {
	at        time.Time
	delivered uint32
}

// add takes a reading of tcpi_delivered into account.
func (p *pace) add(delivered uint32, now time.Time) {
	if p.n > 0 {
		switch age := now.Sub(p.marks[(p.n-1)%len(p.marks)].at); {
		case age < paceGap:
			return
		case age > paceStale:
			p.n = 0
		}
	}
	p.marks[p.n%len(p.marks)] = paceMark{now, delivered}
	if p.n++; p.n < len(p.marks) {
		return
	}
	oldest := p.marks[p.n%len(p.marks)]
	p.rate = float64(delivered-oldest.delivered) / now.Sub(oldest.at).Seconds() // modulo 2³²
	if p.rate >= p.best || now.Sub(p.bestAt) > paceMemory {
		p.best, p.bestAt = p.rate, now
	}
	if p.since.IsZero() {
		p.since = now
	}
}

// known returns the best rate in segments a second, 0 as long as it says little.
func (p *pace) known(now time.Time) float64 {
	if p.since.IsZero() || now.Sub(p.since) < paceLeast {
		return 0
	}
	return p.best
}

// share is the rate of the last second beside the best one, 0 when that is not
// known.
func (p *pace) share(now time.Time) float64 {
	if best := p.known(now); best > 0 && p.n >= len(p.marks) {
		return p.rate / best
	}
	return 0
}
