package leg

import "time"

const (
	// burstTime is how long after its first flow a burst ends: a browser opens what a page
	// needs within a second or two.
	burstTime = 2 * time.Second
	// burstMemory is for how long a burst counts.
	burstMemory = 10 * time.Minute
	// quietTime is how long nobody has to ask for anything until no leg is held ready: long
	// enough to read a page, and an idle client is silent within a minute for certain. That
	// is in four steps: after each, half as many are.
	quietTime = 30 * time.Second
	quietStep = quietTime / 4
)

// demand is how many legs flows of one kind took at a time lately.
type demand struct {
	last  time.Time // of a flow
	began time.Time // of the burst at hand
	out   int       // legs that the burst at hand has taken and not brought back
	// bursts are those that were larger than all later ones: the first is the largest.
	bursts []burst
}

type burst struct {
	at   time.Time
	size int
}

// took notes that a flow has begun.
func (d *demand) took(now time.Time) {
	if now.Sub(d.began) >= burstTime {
		d.began, d.out = now, 0
	}
	d.last = now
	d.out++
	keep := len(d.bursts)
	for keep > 0 && d.bursts[keep-1].size <= d.out {
		keep--
	}
	d.bursts = append(d.bursts[:keep], burst{now, d.out})
}

// returned notes that a leg is back, free for another flow.
func (d *demand) returned() { d.out = max(d.out-1, 0) }

// ready returns how many legs should be ready for the flows to come.
func (d *demand) ready(now time.Time) int {
	for len(d.bursts) > 0 && now.Sub(d.bursts[0].at) >= burstMemory {
		d.bursts = d.bursts[1:]
	}
	quiet := now.Sub(d.last)
	if len(d.bursts) == 0 || quiet >= quietTime {
		return 0
	}
	return max(d.bursts[0].size>>(quiet/quietStep), 1)
}

// over reports whether there is nothing left to remember.
func (d *demand) over(now time.Time) bool { return now.Sub(d.last) >= burstMemory }
