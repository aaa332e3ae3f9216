package estimate

import (
	"math"
	"slices"
	"time"

	"mpproxy/mptcpsock/uapi"
)

// A loss rate means something when lossSample segments were sent. A subflow
// that loses much sends less than that in one window, so loss is counted on
// until there are as many, for lossWindow at most; then lossLeast do.
const (
	lossSample = 100
	lossWindow = 2 * time.Second
	lossLeast  = 30
)

// What a sender loses because it has filled the path's queue says nothing of the
// path: as much as ever gets through then, and round trips are long. Nor does what
// follows until all of that has been sent again, when little gets through.
const (
	overflowLoss  = 0.05
	overflowShare = 0.85                   // of the best rate
	mendLeast     = 200 * time.Millisecond // is how long mending takes, or mendRTTs round trips
	mendRTTs      = 5
	mendMost      = 1200 * time.Millisecond
)

// A sender that fills a short queue now and then loses much for a moment; a path
// that is bad loses all the time. The least of the last stretches tells them
// apart. A stretch with few segments is counted on.
const (
	stretches      = 4
	stretch        = 250 * time.Millisecond
	stretchSample  = 25
	stretchLongest = 500 * time.Millisecond
	stretchLeast   = 8
)

// What a sender loses while it looks for the rate of a path says how long the
// path's queue is, not how good the path: it is left out, for startupMost at
// most, and until what was lost has been sent again.
const (
	startupMost   = 3 * time.Second
	startupSettle = 200 * time.Millisecond // or two round trips
	noThreshold   = math.MaxInt32          // tcpi_snd_ssthresh before the first loss (bbr: before it found the rate)
)

// lossCount measures what share of its segments a subflow has to send again.
type lossCount struct {
	at    time.Time // begin of the window
	from  segmentCount
	rate  float64 // 0 to 1, of the last window
	known bool    // enough was sent in it

	floor       [stretches]float64 // of the last stretches, in no order
	stretches   int                // how many of them there are
	stretchAt   time.Time
	stretchFrom segmentCount
	mended      time.Time // when what an overflow has cost is sent again, at the latest

	flowAt   time.Time // when data began to flow
	starting bool      // it looks for its rate
	settled  time.Time // when what was lost at the start has been mended; zero: it has
}

// add takes a reading into account. best is the most that ever got through, in
// segments a second; 0 when it is not known.
func (l *lossCount) add(t uapi.TCPInfo, best float64, now time.Time) {
	l.follow(t, now)
	age := now.Sub(l.at)
	switch {
	case l.starting:
		if age >= lossWindow {
			l.restart(t, now)
		}
		return
	case !l.settled.IsZero():
		if !now.Before(l.settled) && !l.mending(t, now) {
			l.settled = time.Time{}
			l.restart(t, now)
			l.restartStretches(t, now)
		}
		return
	}
	l.closeStretch(t, best, now)
	if age < window {
		return
	}
	rate, segments := l.since(t)
	if segments < lossSample && age < lossWindow {
		return
	}
	l.restart(t, now)
	if segments >= lossLeast {
		l.known, l.rate = true, rate
	}
}

func (l *lossCount) restart(t uapi.TCPInfo, now time.Time) {
	l.known, l.rate = false, 0
	l.at, l.from = now, countOf(t)
}

// restartStretches forgets the stretches so far.
func (l *lossCount) restartStretches(t uapi.TCPInfo, now time.Time) {
	l.stretches, l.stretchAt, l.stretchFrom = 0, now, countOf(t)
}

// follow finds out whether the subflow still looks for its rate.
func (l *lossCount) follow(t uapi.TCPInfo, now time.Time) {
	if l.flowAt.IsZero() && t.DataSegsOut > 0 {
		l.flowAt = now
	}
	was := l.starting
	l.starting = !l.flowAt.IsZero() && t.SndSsthresh >= noThreshold && now.Sub(l.flowAt) < startupMost
	if was && !l.starting {
		l.settled, l.mended = now.Add(max(startupSettle, 2*t.RTT)), now.Add(mendTime(t))
	}
}

// closeStretch ends a stretch that is long enough.
func (l *lossCount) closeStretch(t uapi.TCPInfo, best float64, now time.Time) {
	if l.mending(t, now) {
		l.restartStretches(t, now)
		return
	}
	if l.stretchAt.IsZero() {
		l.stretchAt, l.stretchFrom = l.at, l.from
	}
	rate, segments := lossOf(l.stretchFrom, countOf(t))
	age := now.Sub(l.stretchAt)
	switch {
	case age < stretch, segments < stretchSample && age < stretchLongest:
		return
	case segments < stretchLeast:
		l.stretches = 0
	case rate >= overflowLoss && l.overflows(t, best, age):
		l.stretches, l.mended = 0, now.Add(mendTime(t))
	default:
		l.floor[l.stretches%stretches] = rate
		l.stretches++
	}
	l.stretchAt, l.stretchFrom = now, countOf(t)
}

// overflows reports whether the stretch that ends was one of a full queue.
func (l *lossCount) overflows(t uapi.TCPInfo, best float64, age time.Duration) bool {
	through := float64(t.Delivered-l.stretchFrom.delivered) / age.Seconds() // modulo 2³²
	return best > 0 && through >= overflowShare*best && 2*t.RTT >= 3*t.MinRTT
}

// mending reports whether what was lost in an overflow is still being sent again.
func (l *lossCount) mending(t uapi.TCPInfo, now time.Time) bool {
	if !l.mended.IsZero() && (t.CAState == uapi.CAOpen || !now.Before(l.mended)) {
		l.mended = time.Time{}
	}
	return !l.mended.IsZero()
}

func mendTime(t uapi.TCPInfo) time.Duration {
	return min(max(mendLeast, mendRTTs*t.RTT), mendMost)
}

// least returns the least loss of the last stretches; known is false when there
// were not as many.
func (l *lossCount) least() (rate float64, known bool) {
	if l.starting || l.stretches < stretches {
		return 0, false
	}
	return slices.Min(l.floor[:]), true
}

// since returns the loss in the window that is open, and how many segments were
// sent in it.
func (l *lossCount) since(t uapi.TCPInfo) (rate float64, segments int) {
	return lossOf(l.from, countOf(t))
}

// segmentCount is what of a reading tells of loss, all modulo 2³². A connection with
// thousands beside it keeps no more than it needs.
type segmentCount struct{ sent, again, needless, delivered uint32 }

func countOf(t uapi.TCPInfo) segmentCount {
	return segmentCount{t.DataSegsOut, t.TotalRetrans, t.DsackDups, t.Delivered}
}

// lossOf returns the loss between two readings, and how many segments were sent.
// What the peer reports as sent needlessly (DSACK, RFC 2883) was not lost:
// reordering looks like loss at first.
func lossOf(from, to segmentCount) (rate float64, segments int) {
	sent := to.sent - from.sent
	again := int64(to.again-from.again) - int64(to.needless-from.needless)
	if sent == 0 || again <= 0 {
		return 0, int(sent)
	}
	return min(float64(again)/float64(sent), 1), int(sent)
}
