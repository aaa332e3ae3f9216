package link

import (
	"math"
	"testing"
	"time"
)

const full = 1514

// offer pushes a frame of n bytes whose first two bytes are its number.
func offer(p *pipe, now time.Duration, number, n int) bool {
	b := p.buffer()[:n]
	b[0], b[1] = byte(number>>8), byte(number)
	return p.push(now, b)
}

type arrival struct {
	number int
	at     time.Duration
}

// drain runs the pipe by its own deadlines until it is empty.
func drain(t *testing.T, p *pipe, now time.Duration) []arrival {
	t.Helper()
	var got []arrival
	for {
		at, ok := p.next()
		if !ok {
			return got
		}
		at = max(at, now)
		if at > now {
			if buf, ok := p.pop(at - 1); ok {
				t.Fatalf("frame %d came before its deadline", int(buf[0])<<8|int(buf[1]))
			}
		}
		for {
			buf, ok := p.pop(at)
			if !ok {
				break
			}
			got = append(got, arrival{int(buf[0])<<8 | int(buf[1]), at})
			p.recycle(buf)
		}
		if now = at; len(got) > maxFrames {
			t.Fatal("no end")
		}
	}
}

func TestPipeRateAndDelay(t *testing.T) {
	const rate, delay, frames = 50 * Mbit, 10 * time.Millisecond, 500
	p := newPipe(Params{Rate: rate, Delay: delay, Queue: frames * full}, full, 1, AtoB)
	for i := range frames {
		if !offer(p, 0, i, full) {
			t.Fatalf("frame %d dropped", i)
		}
	}
	got := drain(t, p, 0)
	if len(got) != frames {
		t.Fatalf("%d frames, want %d", len(got), frames)
	}
	one := time.Duration(full * 8 * 1e9 / rate)
	for i, a := range got {
		if want := time.Duration(i+1)*one + delay; a != (arrival{i, want}) {
			t.Fatalf("arrival %d: %+v, want frame %d at %v", i, a, i, want)
		}
	}
}

// A caller that is late delivers late, but later frames do not suffer.
func TestPipeLateCallerKeepsRate(t *testing.T) {
	p := newPipe(Params{Rate: 8 * Mbit, Delay: time.Millisecond}, full, 1, AtoB) // 1000 bytes take 1 ms
	for i := range 10 {
		offer(p, 0, i, 1000)
	}
	var n int
	for {
		buf, ok := p.pop(8500 * time.Microsecond)
		if !ok {
			break
		}
		p.recycle(buf)
		n++
	}
	if n != 7 {
		t.Errorf("%d frames at 8.5 ms, want the 7 that departed until 7.5 ms", n)
	}
	if at, ok := p.next(); !ok || at != 9*time.Millisecond {
		t.Errorf("next deadline %v, %v; want 9ms", at, ok)
	}
	if p.latest != 6500*time.Microsecond || p.late != 0 {
		t.Errorf("%v late at worst, %d frames much; want 6.5ms of the first one, 0", p.latest, p.late)
	}
	if _, ok := p.pop(9*time.Millisecond + MuchLate + 1); !ok || p.late != 1 {
		t.Errorf("%d frames much late, want 1", p.late)
	}
}

func TestPipeQueueLimit(t *testing.T) {
	p := newPipe(Params{Rate: 8 * Mbit, Queue: 10_000}, full, 1, AtoB)
	accepted := 0
	for i := range 100 {
		if offer(p, 0, i, 1000) {
			accepted++
		}
	}
	if accepted != 10 || p.queueDrops != 90 || p.maxQueued != 10_000 {
		t.Errorf("accepted %d, dropped %d, at most %d bytes; want 10, 90, 10000", accepted, p.queueDrops, p.maxQueued)
	}
	// After 3.5 ms three frames have departed.
	accepted = 0
	for i := range 100 {
		if offer(p, 3500*time.Microsecond, i, 1000) {
			accepted++
		}
	}
	if accepted != 3 {
		t.Errorf("accepted %d after 3.5 ms, want 3", accepted)
	}
	small := newPipe(Params{Rate: 8 * Mbit, Queue: 100}, full, 1, AtoB)
	if !offer(small, 0, 0, full) || offer(small, 0, 1, full) {
		t.Error("a queue smaller than a frame must take one frame when it is empty, and no second")
	}
}

func TestPipeLossAndJitter(t *testing.T) {
	const loss, frames, jitter = 0.1, 20_000, 5 * time.Millisecond
	run := func(seed uint64) []arrival {
		p := newPipe(Params{Loss: loss, Delay: time.Millisecond, Jitter: jitter}, 64, seed, AtoB)
		var got []arrival
		for i := range frames {
			now := time.Duration(i) * time.Millisecond
			offer(p, now, i, 60)
			for {
				buf, ok := p.pop(now)
				if !ok {
					break
				}
				got = append(got, arrival{int(buf[0])<<8 | int(buf[1]), now})
				p.recycle(buf)
			}
		}
		got = append(got, drain(t, p, frames*time.Millisecond)...)
		if uint64(frames-len(got)) != p.lost {
			t.Errorf("%d frames missing, %d counted as lost", frames-len(got), p.lost)
		}
		return got
	}
	got := run(1)
	// Five standard deviations.
	lost, bound := float64(frames-len(got)), 5*math.Sqrt(frames*loss*(1-loss))
	if math.Abs(lost-frames*loss) > bound {
		t.Errorf("%v of %d lost, want %v ± %v", lost, frames, frames*loss, bound)
	}
	last, late := -1, 0
	for _, a := range got {
		if a.number <= last {
			t.Fatalf("frame %d came after frame %d", a.number, last)
		}
		last = a.number
		took := a.at - time.Duration(a.number)*time.Millisecond
		if took < time.Millisecond || took > time.Millisecond+jitter+time.Millisecond {
			t.Fatalf("frame %d took %v, want 1ms to 7ms (read each ms)", a.number, took)
		}
		if took > 3*time.Millisecond {
			late++
		}
	}
	if late == 0 {
		t.Error("no jitter seen")
	}
	if again := run(1); len(again) != len(got) || again[100] != got[100] {
		t.Error("the same seed gave another sequence")
	}
	if other := run(2); len(other) == len(got) && other[100] == got[100] && other[1000] == got[1000] {
		t.Error("another seed gave the same sequence")
	}
}

func TestPipeRateChange(t *testing.T) {
	p := newPipe(Params{Rate: 8 * Mbit}, full, 1, AtoB) // 1000 bytes take 1 ms
	offer(p, 0, 0, 1000)
	offer(p, 0, 1, 1000)
	// Half of the first frame is left, at half the rate: 1 ms more.
	p.set(500*time.Microsecond, Params{Rate: 4 * Mbit})
	got := drain(t, p, 500*time.Microsecond)
	want := []arrival{{0, 1500 * time.Microsecond}, {1, 3500 * time.Microsecond}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("arrivals %v, want %v", got, want)
	}
	// A direction that all but stood still comes back to life.
	p = newPipe(Params{Rate: 1}, full, 1, AtoB)
	offer(p, 0, 0, 1000)
	p.set(time.Second, Params{Rate: 8 * Mbit})
	if at, ok := p.next(); !ok || at > time.Second+time.Millisecond {
		t.Errorf("next at %v, %v; want within a millisecond of the change", at, ok)
	}
}

func TestPipeBounded(t *testing.T) {
	p := newPipe(Params{Delay: 10 * time.Second}, 64, 1, AtoB) // nothing queues, all travels
	for i := range maxFrames + 100 {
		offer(p, 0, i, 60)
	}
	if got := p.tail - p.head; got != maxFrames || p.queueDrops != 100 {
		t.Errorf("%d frames held, %d dropped; want %d and 100", got, p.queueDrops, maxFrames)
	}
	drain(t, p, 0)
	if len(p.idle) > maxIdleBuffers {
		t.Errorf("%d idle buffers kept", len(p.idle))
	}
}

func TestPipeDoesNotAllocate(t *testing.T) {
	p := newPipe(Params{Rate: 50 * Mbit, Delay: time.Millisecond}, full, 1, AtoB)
	var now time.Duration
	allocs := testing.AllocsPerRun(1000, func() {
		now += time.Millisecond
		offer(p, now, 0, full)
		for {
			buf, ok := p.pop(now)
			if !ok {
				break
			}
			p.recycle(buf)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations for each frame", allocs)
	}
}

func TestParamsValidate(t *testing.T) {
	for name, p := range map[string]Params{
		"rate":   {Rate: -1},
		"delay":  {Delay: time.Minute},
		"jitter": {Jitter: -time.Second},
		"loss":   {Loss: 1.1},
		"nan":    {Loss: math.NaN()},
		"queue":  {Queue: -1},
	} {
		if p.Validate() == nil {
			t.Errorf("%s: %+v accepted", name, p)
		}
	}
	if err := (Params{Rate: Gbit, Loss: 1, Queue: 1}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestParseKind(t *testing.T) {
	for k := Auto; k <= Veth; k++ {
		if got, err := ParseKind(k.String()); err != nil || got != k {
			t.Errorf("ParseKind(%q) = %v, %v", k.String(), got, err)
		}
	}
	if _, err := ParseKind("carrier-pigeon"); err == nil {
		t.Error("an unknown kind was accepted")
	}
}

func TestNetemAttrs(t *testing.T) {
	got := netemAttrs(orders{params: Params{Rate: 8 * Mbit, Delay: 20 * time.Millisecond, Jitter: 4 * time.Millisecond, Loss: 0.02, Queue: 15140}})
	if got.Latency != 22_000 || got.Jitter != 2_000 || got.Loss != 2 || got.Rate64 != 1_000_000 || got.Limit != 10+15+1 {
		t.Errorf("%+v", got)
	}
	if got := netemAttrs(orders{down: true}); got.Loss != 100 || got.Rate64 == 0 {
		t.Errorf("down: %+v", got)
	}
}
