package mode

import (
	"testing"
	"time"

	. "mpproxy/pathctl/policy"
)

// These tests run the policies in simulated time: the milliseconds are those of
// the toy world, the same on every machine.

func fast(name string) *link { return &link{Path: Path{Name: name}, rtt: 20 * ms, rate: 625_000} }

func metered(l *link) *link { l.Metered = true; return l }

func TestDarkPathIsLeft(t *testing.T) {
	for _, mode := range []Mode{Aggregate, Handover, Interactive, Lazy, Backup, Streaming} {
		t.Run(string(mode), func(t *testing.T) {
			a, b := fast("wifi"), fast("dsl")
			a.dark = between2(5*time.Second, 20*time.Second)
			w := newWorld(t, mode, bulk, a, b)
			w.run(4900 * ms)
			w.silence = 0
			w.run(20 * time.Second)
			evicted := w.when("drop wifi failed", 5*time.Second)
			w.check(evicted >= 0 && evicted <= 5250*ms, "evicted at %v", evicted)
			w.check(w.silence <= 300*ms, "%v without a byte", w.silence)
			before := a.carried
			w.run(30 * time.Second)
			if mode != Streaming && mode != Interactive { // there a late block or a lower RTT brings it back
				w.check(a.carried > before, "wifi carries nothing 10 s after it came back")
			}
			w.check(w.count("drop") <= 6, "%d subflows dropped", w.count("drop"))
		})
	}
}

func TestLinkDownIsLeftAtOnce(t *testing.T) {
	for _, mode := range []Mode{Aggregate, Handover} {
		a, b := fast("wifi"), fast("dsl")
		a.gone = between2(5*time.Second, 10*time.Second)
		w := newWorld(t, mode, bulk, a, b)
		w.run(4900 * ms)
		w.silence = 0
		w.run(10 * time.Second)
		w.check(w.silence <= 100*ms, "%s: %v without a byte", mode, w.silence)
		before := a.carried
		w.run(20 * time.Second)
		w.check(a.carried > before, "%s: wifi carries nothing 10 s after it came back", mode)
	}
}

// TestForgottenSubflow: a box on the only path loses its state; the connection goes on
// over another subflow on the same path, in each mode.
func TestForgottenSubflow(t *testing.T) {
	for _, mode := range Modes() {
		t.Run(string(mode), func(t *testing.T) {
			a := fast("wifi")
			w := newWorld(t, mode, bulk, a)
			w.run(5 * time.Second)
			w.silence = 0
			for _, f := range w.flows {
				f.forgotten = true
			}
			w.run(20 * time.Second)
			limit := 1200 * ms
			if mode.Traits().Several { // they are found out one after the other
				limit = 6 * time.Second
			}
			w.check(w.silence <= limit, "%v without a byte", w.silence)
			w.check(mode.Traits().Several || a.failures == 0, "the path is blamed %d times", a.failures)
		})
	}
}

// TestHandshakesAlone: where handshakes pass on the only path and data does not any more,
// as when packets have become too large, subflows are not opened one after the other.
func TestHandshakesAlone(t *testing.T) {
	for _, mode := range Modes() {
		if mode.Traits().Several {
			continue // they go on with what they have
		}
		t.Run(string(mode), func(t *testing.T) {
			a := fast("wifi")
			a.tight = between2(5*time.Second, time.Minute)
			w := newWorld(t, mode, bulk, a)
			w.run(time.Minute)
			w.check(w.count("create wifi") <= 2, "%d subflows were opened", w.count("create wifi"))
		})
	}
}

// TestDarkOnlyPath: on the only path, while it is dark, nothing is opened or dropped;
// once it answers again, the connection does not wait for its timer.
func TestDarkOnlyPath(t *testing.T) {
	for _, mode := range Modes() {
		t.Run(string(mode), func(t *testing.T) {
			a := fast("wifi")
			a.dark = between2(5*time.Second, 105*time.Second)
			w := newWorld(t, mode, bulk, a)
			w.run(6 * time.Second)
			begun := len(w.log)
			w.run(105 * time.Second)
			w.check(len(w.log) == begun, "%d decisions while nothing can be done", len(w.log)-begun)
			if mode.Traits().Alone {
				return // it waits for its timer, as TCP does
			}
			before := a.carried
			w.run(107 * time.Second)
			w.check(a.carried > before, "nothing is carried two seconds after the path came back")
		})
	}
}

func TestMeteredStandby(t *testing.T) {
	a, b := fast("wifi"), metered(fast("lte"))
	a.dark = between2(30*time.Second, 60*time.Second)
	w := newWorld(t, Handover, bulk, a, b)
	w.run(30 * time.Second)
	w.check(len(w.log) == 0 && b.carried == 0, "the standby is not left alone while wifi works")
	w.silence = 0
	w.run(60 * time.Second)
	w.check(w.silence <= 400*ms, "%v without a byte", w.silence)
	w.run(70 * time.Second)
	before := b.carried
	w.run(90 * time.Second)
	w.check(w.when("drop lte unneeded", 60*time.Second) > 0 && b.carried == before, "lte still carries data 10 s after wifi came back")
}

func TestLossyPathIsLeft(t *testing.T) {
	for _, mode := range []Mode{Aggregate, Handover, Streaming} {
		for _, second := range []*link{fast("dsl"), metered(fast("lte"))} {
			a := fast("wifi")
			a.loss = func(t time.Duration) float64 {
				if t >= time.Second {
					return 0.3
				}
				return 0
			}
			w := newWorld(t, mode, bulk, a, second)
			w.run(20 * time.Second)
			evicted := w.when("drop wifi failed", time.Second)
			w.check(evicted >= 0 && evicted <= 3*time.Second, "%s: evicted at %v", mode, evicted)
			w.check(w.count("drop wifi failed: loss") <= 2, "%s: wifi was tried and dropped %d times", mode, w.count("drop wifi failed: loss"))
		}
	}
}

// ±30 ms and 1 % loss are no reason for anything, whatever flows.
func TestJitterIsBorne(t *testing.T) {
	for _, mode := range Modes() {
		for name, app := range map[string]func(*world) uint64{"bulk": bulk, "echo": echo, "blocks": blocks} {
			t.Run(string(mode)+"/"+name, func(t *testing.T) {
				a, b := fast("wifi"), fast("dsl")
				for _, l := range []*link{a, b} {
					l.rtt, l.jitter = 40*ms, 30*ms
					l.loss = func(time.Duration) float64 { return 0.01 }
				}
				b.rtt = 60 * ms
				w := newWorld(t, mode, app, a, b)
				w.run(5 * time.Minute)
				for _, kind := range []string{"drop wifi failed", "drop dsl failed", "drop wifi unneeded"} {
					w.check(w.count(kind) == 0, "%s %d times", kind, w.count(kind))
				}
				if mode == Aggregate {
					w.check(w.count("wifi backup")+w.count("dsl backup") == 0, "the guard set a good path aside")
				}
			})
		}
	}
}

func TestFlappingPathIsTrustedLess(t *testing.T) {
	for _, mode := range []Mode{Aggregate, Handover} {
		a, b := fast("wifi"), fast("dsl")
		a.dark = func(t time.Duration) bool { return t%(10*time.Second) > 8*time.Second }
		w := newWorld(t, mode, bulk, a, b)
		w.run(5 * time.Minute)
		first, last := 0, 0
		for _, e := range w.log {
			if e.at < time.Minute {
				first++
			} else if e.at >= 4*time.Minute {
				last++
			}
		}
		w.check(3*last <= first, "%s: %d decisions in the first minute, %d in the fifth", mode, first, last)
	}
}

func TestGuard(t *testing.T) {
	good, better, weak := fast("dsl"), fast("cable"), fast("sat")
	good.rate, better.rate, weak.rate = 1_250_000, 2_500_000, 125_000
	weak.loss = func(time.Duration) float64 { return 0.05 }
	w := newWorld(t, Aggregate, bulk, good, better, weak)
	w.run(5 * time.Minute)
	at := w.when("sat backup true", 0)
	w.check(at > 0 && at < 10*time.Second, "the weak path was set aside at %v", at)
	w.check(w.count("dsl backup")+w.count("cable backup") == 0, "a good path was set aside")
	w.check(w.count("sat backup") <= 14, "%d changes of the weak path in five minutes", w.count("sat backup"))
}

func TestInteractiveLeavesQueue(t *testing.T) {
	a, b := fast("wifi"), fast("dsl")
	b.rtt = 60 * ms
	a.queue = func(t time.Duration) time.Duration { // 500 KB fill up at 5 Mbit/s
		if t < 5*time.Second || t > 15*time.Second {
			return 0
		}
		return min(800*ms, (t-5*time.Second)/2)
	}
	w := newWorld(t, Interactive, echo, a, b)
	w.run(5 * time.Second)
	w.check(w.count("wifi backup") == 0, "left wifi before")
	w.run(40 * time.Second)
	moved := w.when("wifi backup true", 5*time.Second)
	w.check(moved > 0 && moved <= 6*time.Second, "moved at %v", moved)
	back := w.when("wifi backup false", 15*time.Second)
	w.check(back > 0, "never came back")
	w.check(w.count("wifi backup") <= 4, "%d changes", w.count("wifi backup"))
}

func TestInteractiveDark(t *testing.T) {
	a, b := fast("wifi"), fast("dsl")
	b.rtt = 60 * ms
	a.dark = between2(5*time.Second, time.Hour)
	w := newWorld(t, Interactive, echo, a, b)
	w.run(4900 * ms)
	w.silence = 0
	w.run(20 * time.Second)
	w.check(w.silence <= 540*ms, "%v without an answer", w.silence)
}

func TestLazyBySize(t *testing.T) {
	for _, tt := range []struct {
		size uint64
		want int
	}{{200_000, 0}, {20_000_000, 1}} {
		w := newWorld(t, Lazy, fetch(tt.size), fast("wifi"), fast("dsl"))
		w.run(time.Minute)
		w.check(w.conn.Pending == 0 && w.count("create") == tt.want, "%d bytes: %d further subflows, %d bytes left", tt.size, w.count("create"), w.conn.Pending)
	}
}

func TestLazyIgnoresThinFlows(t *testing.T) {
	w := newWorld(t, Lazy, echo, fast("wifi"), fast("dsl"))
	w.run(5 * time.Minute)
	w.check(w.count("create") == 0, "an echo opened another path")
}

func TestStreamingNeedsOnePathWhileItIsGood(t *testing.T) {
	w := newWorld(t, Streaming, blocks, fast("wifi"), fast("dsl"))
	w.run(time.Minute)
	w.check(len(w.log) == 0, "more than one subflow without need")
}

func TestStreamingAddsPath(t *testing.T) {
	a := fast("wifi")
	a.rate = 40_000 // a block takes 1.6 s
	w := newWorld(t, Streaming, blocks, a, fast("dsl"))
	w.run(2 * time.Second)
	at := w.when("create dsl", 0)
	w.check(at >= 500*ms && at <= 600*ms, "added at %v", at)
}

func TestSingleStaysAlone(t *testing.T) {
	a := fast("wifi")
	a.dark = between2(5*time.Second, 10*time.Second)
	w := newWorld(t, Single, bulk, a, fast("dsl"))
	w.run(time.Minute)
	w.check(len(w.log) == 0, "single did something")
}

// An idle connection costs nothing: nobody asks to be called.
func TestIdleIsQuiet(t *testing.T) {
	none := func(*world) uint64 { return 0 }
	for _, mode := range Modes() {
		if mode == Streaming {
			continue // it waits for the next block to begin
		}
		w := newWorld(t, mode, none, fast("wifi"), fast("dsl"))
		w.run(20 * time.Second)
		before := w.asked
		w.run(5 * time.Minute)
		w.check(w.asked == before, "%s: asked %d times while nothing happened", mode, w.asked-before)
	}
}
