package link

import (
	"math/rand/v2"
	"time"
)

const (
	// maxFrames bounds what one direction holds, waiting and under way: 64 MB
	// of full frames, enough for 1 Gbit/s over half a second.
	maxFrames = 1 << 15
	// maxIdleBuffers bounds the buffers kept for reuse, 12 MB.
	maxIdleBuffers = 1 << 13
)

// frame is one Ethernet frame on its way.
type frame struct {
	buf     []byte
	arrived time.Duration
	due     time.Duration // when it is delivered; set at departure
	lost    bool
}

// pipe is one direction of a link as a pure function of time: frames wait in a
// queue, depart one after the other at the rate, travel for the delay and fall
// due in the order in which they came. It has no clock, no lock and no I/O;
// times are measured from any fixed start and must not go back.
//
// Departures are computed when they are asked for, from exact times: a caller
// that comes late delivers late, but the rate does not suffer.
type pipe struct {
	params   Params
	rng      *rand.Rand
	frames   []frame // ring; the length is a power of two
	head     uint64  // next to fall due
	departed uint64  // [head,departed) travels, [departed,tail) waits
	tail     uint64
	queued   int           // bytes of [departed,tail)
	departAt time.Duration // end of the transmission of frame `departed`
	lastDue  time.Duration
	bufSize  int
	idle     [][]byte

	lost, queueDrops uint64
	delivered        uint64 // bytes, counted by the owner
	maxQueued        int
	latest           time.Duration // by how much a frame was popped later than due
	late             uint64        // frames popped later than MuchLate
}

func newPipe(p Params, bufSize int, seed uint64, d Direction) *pipe {
	return &pipe{
		params:  p,
		rng:     rand.New(rand.NewPCG(seed, uint64(d))),
		frames:  make([]frame, 64),
		bufSize: bufSize,
	}
}

// buffer returns a buffer for push.
func (p *pipe) buffer() []byte {
	if n := len(p.idle); n > 0 {
		b := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return b[:p.bufSize]
	}
	return make([]byte, p.bufSize)
}

// recycle takes back a buffer that is no longer needed.
func (p *pipe) recycle(b []byte) {
	if cap(b) >= p.bufSize && len(p.idle) < maxIdleBuffers {
		p.idle = append(p.idle, b)
	}
}

func (p *pipe) at(i uint64) *frame { return &p.frames[i&uint64(len(p.frames)-1)] }

// set changes the properties at a moment: what is left of the frame in
// transmission goes at the new rate, frames that have departed keep their delay.
func (p *pipe) set(now time.Duration, q Params) {
	p.advance(now)
	if left := p.departAt - now; left > 0 && q.Rate != p.params.Rate {
		p.departAt = now
		if q.Rate != 0 {
			p.departAt += time.Duration(float64(left) * float64(p.params.Rate) / float64(q.Rate))
		}
	}
	p.params = q
}

// push offers a frame and takes its buffer; it reports false, and has recycled
// the buffer, when the queue is full.
func (p *pipe) push(now time.Duration, buf []byte) bool {
	p.advance(now)
	n := len(buf)
	if (p.queued > 0 && p.queued+n > p.params.queue()) || p.tail-p.head >= maxFrames {
		p.queueDrops++
		p.recycle(buf)
		return false
	}
	if p.tail-p.head == uint64(len(p.frames)) {
		p.grow()
	}
	*p.at(p.tail) = frame{buf: buf, arrived: now}
	if p.departed == p.tail {
		p.departAt = max(p.departAt, now) + p.params.transmission(n)
	}
	p.tail++
	p.queued += n
	p.maxQueued = max(p.maxQueued, p.queued)
	p.advance(now)
	return true
}

func (p *pipe) grow() {
	bigger := make([]frame, 2*len(p.frames))
	for i := p.head; i != p.tail; i++ {
		bigger[i&uint64(len(bigger)-1)] = *p.at(i)
	}
	p.frames = bigger
}

// advance lets all frames depart whose transmission has ended.
func (p *pipe) advance(now time.Duration) {
	for p.departed != p.tail && p.departAt <= now {
		f := p.at(p.departed)
		p.queued -= len(f.buf)
		f.due = p.departAt + p.params.Delay
		if p.params.Jitter > 0 {
			f.due += time.Duration(p.rng.Int64N(int64(p.params.Jitter) + 1))
		}
		f.due = max(f.due, p.lastDue)
		p.lastDue = f.due
		if p.params.Loss > 0 && p.rng.Float64() < p.params.Loss {
			f.lost = true
			p.lost++
		}
		p.departed++
		if p.departed != p.tail {
			next := p.at(p.departed)
			p.departAt = max(p.departAt, next.arrived) + p.params.transmission(len(next.buf))
		}
	}
}

// pop returns the next frame that has fallen due; the caller recycles its buffer.
func (p *pipe) pop(now time.Duration) ([]byte, bool) {
	for {
		p.advance(now)
		if p.head == p.departed {
			return nil, false
		}
		f := p.at(p.head)
		if f.due > now {
			return nil, false
		}
		buf, lost, due := f.buf, f.lost, f.due
		*f = frame{}
		p.head++
		if !lost {
			p.noteLate(now - due)
			return buf, true
		}
		p.recycle(buf)
	}
}

func (p *pipe) noteLate(by time.Duration) {
	p.latest = max(p.latest, by)
	if by > MuchLate {
		p.late++
	}
}

// next returns the time of the next event; false when there is nothing to wait for.
func (p *pipe) next() (time.Duration, bool) {
	switch {
	case p.head != p.departed:
		return p.at(p.head).due, true
	case p.departed != p.tail:
		// Nothing can fall due before it has departed.
		return p.departAt + p.params.Delay, true
	}
	return 0, false
}
