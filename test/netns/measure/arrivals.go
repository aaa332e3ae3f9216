package measure

import "time"

// Arrival is a piece of data that the receiving application got.
type Arrival struct {
	At    time.Duration // since the flow began
	Bytes int
}

// Arrivals are in the order of their times.
type Arrivals []Arrival

// Silence is the longest time without a byte within a part of the flow, and
// when it began; the ends of the part count as arrivals.
func (as Arrivals) Silence(from, to time.Duration) (longest, since time.Duration) {
	last := from
	look := func(at time.Duration) {
		if at-last > longest {
			longest, since = at-last, last
		}
		last = at
	}
	for _, a := range as {
		if a.At > from && a.At < to {
			look(a.At)
		}
	}
	look(to)
	return longest, since
}

// Goodput is what arrived within a part of the flow, in bit/s.
func (as Arrivals) Goodput(from, to time.Duration) float64 {
	sum := 0
	for _, a := range as {
		if a.At >= from && a.At < to {
			sum += a.Bytes
		}
	}
	return float64(sum) * 8 / (to - from).Seconds()
}
