package mode

import (
	"testing"
	"time"

	. "mpproxy/pathctl/policy"
)

// What counts as a failure, with a second path in use.
func TestFailure(t *testing.T) {
	two := func(s Subflow) []Subflow { return []Subflow{s, on(2, "dsl")} }
	with := func(change func(*Subflow)) []Subflow { s := on(1, "wifi"); change(&s); return two(s) }
	lost := Memory{Watches: []Watch{{ID: 1, Sign: SignLoss, Since: 29 * time.Second}}}
	noise := Memory{Watches: []Watch{{ID: 1, Sign: SignLoss, Since: 29900 * ms}}}
	blamed := Memory{Notes: []Note{{Path: "wifi", Failures: 1, Until: 29 * time.Second}}}
	fresh := func(s Subflow, n int, rate float64) []Subflow { s.Fresh, s.FreshLoss = n, rate; return two(s) }
	silent := func(p Path, d time.Duration) Path { p.Silent = d; return p }
	unmeasuredOn := func(id SubflowID, path string) Subflow {
		s := on(id, path)
		s.RTT, s.MinRTT, s.RTTVar = 0, 0, time.Second // as the kernel begins
		return s
	}
	const fine, gone = "1 2", "2 -1 failed"
	run(t, Aggregate, []row{
		{name: "progress", subs: two(stalled(on(1, "wifi"), 140*ms)), want: fine},
		{name: "stall", subs: two(stalled(on(1, "wifi"), 240*ms)), want: gone, why: "no progress for 240 ms on wifi"},
		{name: "stall before any round trip was measured", subs: two(stalled(unmeasuredOn(1, "wifi"), 240*ms)), paths: ways(func() Path { p := wifi(); p.RTT = 20 * ms; return p }(), dsl()), want: gone, why: "limit 150 ms"},
		{name: "only a handshake was measured, whose SYN was repeated", subs: two(stalled(estab(1, "wifi", 2020*ms), 460*ms)), want: gone, why: "limit 300 ms"},
		{name: "of a path that is known to be long", subs: two(stalled(unmeasuredOn(1, "wifi"), 240*ms)), paths: ways(func() Path { p := wifi(); p.RTT = 100 * ms; return p }(), dsl()), want: fine},
		{name: "stall of a long path", subs: two(stalled(estab(1, "wifi", 300*ms), 700*ms)), want: fine},
		{name: "loss on trial in too few segments", subs: fresh(on(1, "wifi"), 19, 0.3), memory: blamed, want: fine},
		{name: "loss on trial", subs: fresh(on(1, "wifi"), 20, 0.2), memory: blamed, want: gone, why: "loss 20 %"},
		{name: "loss on trial with a full queue", subs: func() []Subflow { f := fresh(on(1, "wifi"), 20, 0.2); f[0].RTT = 100 * ms; return f }(), memory: blamed, want: fine},
		{name: "loss on trial with a full queue, and less gets through than before", subs: func() []Subflow { f := fresh(on(1, "wifi"), 20, 0.2); f[0].RTT, f[0].Share = 100*ms, 0.7; return f }(), memory: blamed, want: gone, why: "loss 20 %"},
		{name: "stall where round trips vary", subs: two(func() Subflow { s := stalled(estab(1, "wifi", 100*ms), 450*ms); s.RTTVar = 40 * ms; return s }()), want: fine},
		{name: "stall where they vary less", subs: two(func() Subflow { s := stalled(estab(1, "wifi", 100*ms), 450*ms); s.RTTVar = 20 * ms; return s }()), want: gone, why: "limit 400 ms"},
		{name: "stall where they hardly do", subs: two(func() Subflow { s := stalled(estab(1, "wifi", 100*ms), 250*ms); s.RTTVar = 12 * ms; return s }()), want: gone, why: "limit 248 ms"},
		{name: "loss of a path without a past", subs: fresh(on(1, "wifi"), 20, 0.3), want: fine},
		{name: "long stall of a long path", subs: two(stalled(estab(1, "wifi", 300*ms), 800*ms)), want: gone, why: "no progress for 800 ms"},
		{name: "one packet lost", subs: with(func(s *Subflow) { s.Stalled, s.Unacked = 260*ms, 1 }), want: fine},
		{name: "one packet lost, timer expired", subs: with(func(s *Subflow) { s.Stalled, s.Unacked, s.Timeouts, s.RTO = 460*ms, 1, 1, 540*ms }), want: fine},
		{name: "its retransmissions lost, too", subs: with(func(s *Subflow) { s.Stalled, s.Unacked, s.Timeouts, s.RTO = 900*ms, 1, 2, 1090*ms }), want: gone, why: "RTO 1.09 s ≥ 500 ms on wifi"},
		{name: "timer expired once while newer segments got through", subs: with(func(s *Subflow) { s.Stalled, s.Unacked, s.Timeouts, s.RTO = 20*ms, 111, 1, 832*ms }), want: fine},
		{name: "timer expired three times", subs: with(func(s *Subflow) { s.Stalled, s.Unacked, s.Timeouts, s.RTO = 20*ms, 111, 3, 3320*ms }), want: gone, why: "RTO 3.32 s"},
		{name: "timer of a path whose round trips vary, and no answer to the next attempt yet", subs: with(func(s *Subflow) {
			s.RTT, s.RTTVar, s.Stalled, s.Unacked, s.Timeouts, s.RTO = 130*ms, 70*ms, 640*ms, 20, 1, 820*ms
		}), want: fine},
		{name: "nor later", subs: with(func(s *Subflow) {
			s.RTT, s.RTTVar, s.Stalled, s.Unacked, s.Timeouts, s.RTO = 130*ms, 70*ms, 690*ms, 20, 1, 820*ms
		}), want: gone, why: "RTO 820 ms"},
		{name: "one packet lost, and more sent just now", subs: with(func(s *Subflow) { s.Stalled, s.Unacked, s.Young = 260*ms, 10, 9 }), want: fine},
		{name: "five of them a while ago", subs: with(func(s *Subflow) { s.Stalled, s.Unacked, s.Young = 260*ms, 10, 5 }), want: gone, why: "no progress for 260 ms"},
		{name: "one packet lost on trial, and a transfer waits", subs: with(func(s *Subflow) { s.Stalled, s.Unacked, s.UsedAgo = 260*ms, 1, time.Second }), conn: func(c *Conn) { c.Pending = 60_000 }, memory: blamed, want: gone, why: "no progress for 260 ms on wifi (limit 150 ms)"},
		{name: "one packet of a conversation lost on trial", subs: with(func(s *Subflow) { s.Stalled, s.Unacked, s.UsedAgo = 260*ms, 1, time.Second }), conn: func(c *Conn) { c.Pending = 200 }, memory: blamed, want: fine},
		{name: "one packet lost without a past, and a transfer waits", subs: with(func(s *Subflow) { s.Stalled, s.Unacked, s.UsedAgo = 260*ms, 1, time.Second }), conn: func(c *Conn) { c.Pending = 60_000 }, want: fine},
		{name: "stall on trial", subs: with(func(s *Subflow) { s.Stalled, s.Unacked, s.RTT = 260*ms, 150, 200*ms }), memory: blamed, want: gone, why: "limit 250 ms"},
		{name: "stall after the trial", subs: with(func(s *Subflow) { s.Stalled, s.Unacked, s.RTT, s.UsedAgo = 260*ms, 150, 200*ms, 20*time.Second }), memory: blamed, want: fine},
		{name: "RTO that nobody waits for", subs: with(func(s *Subflow) { s.RTO = 3 * time.Second }), want: fine},
		{name: "loss begins", subs: two(lossy(on(1, "wifi"), 0.3)), want: fine, then: func(t *testing.T, p Plan, _ Memory) {
			if p.Look == 0 || p.Look > 500*ms {
				t.Errorf("looks again in %v, after the loss has lasted", p.Look)
			}
		}},
		{name: "loss lasts", subs: two(lossy(on(1, "wifi"), 0.3)), memory: lost, want: gone, why: "loss 30 % ≥ 20 % on wifi"},
		{name: "loss of its own queue", subs: with(func(s *Subflow) { *s = lossy(*s, 0.3); s.Share, s.RTT = 0.95, 100*ms }), memory: lost, want: fine},
		{name: "loss that shows in what gets through", subs: with(func(s *Subflow) { *s = lossy(*s, 0.3); s.Share, s.RTT = 0.7, 100*ms }), memory: lost, want: gone},
		{name: "loss of a thin flow", subs: with(func(s *Subflow) { *s = lossy(*s, 0.3); s.Share = 1 }), memory: lost, want: gone},
		{name: "loss that may pass", subs: two(lossy(on(1, "wifi"), 0.3)), memory: noise, want: fine},
		{name: "little loss lasts", subs: two(lossy(on(1, "wifi"), 0.06)), memory: lost, want: fine},
		{name: "half the threshold after more", subs: two(lossy(on(1, "wifi"), 0.12)), memory: lost, want: gone},
		{name: "the other one loses as much", subs: []Subflow{lossy(on(1, "wifi"), 0.3), lossy(on(2, "dsl"), 0.2)}, memory: lost, want: fine},
		{name: "both stall", subs: []Subflow{stalled(on(1, "wifi"), time.Second), stalled(on(2, "dsl"), time.Second)}, want: fine},
		{name: "alone", subs: []Subflow{stalled(on(1, "wifi"), time.Second)}, paths: ways(wifi(), retry(dsl())), want: "1"},
		{name: "join unanswered", subs: []Subflow{on(1, "wifi"), pending(2, "dsl", 5*time.Second)}, want: "1 -2 failed", why: "no answer to MP_JOIN for 5 s on dsl"},
		{name: "join going on", subs: []Subflow{on(1, "wifi"), pending(2, "dsl", 3*time.Second)}, want: fine},
		{name: "path down", subs: two(on(1, "wifi")), paths: ways(down(wifi()), dsl()), want: "2 -1 path-down", why: "wifi is down"},
		{name: "path gone", subs: two(on(1, "wifi")), paths: ways(dsl()), want: "2 -1 path-down"},
		{name: "all paths gone", subs: two(on(1, "wifi")), paths: ways(lte()), conn: func(c *Conn) { c.CannotJoin = true }, want: fine},
		{name: "paths not known yet", subs: two(on(1, "wifi")), paths: ways(), want: fine, conn: func(c *Conn) { c.Prefer = []string{"dsl"} }},
		{name: "subflow of unknown path", subs: []Subflow{on(1, ""), on(2, "dsl")}, paths: ways(dsl()), want: fine},
		{name: "probes unanswered for a moment", subs: two(on(1, "wifi")), paths: ways(silent(wifi(), 200*ms), dsl()), want: fine},
		{name: "probes unanswered for long", subs: two(on(1, "wifi")), paths: ways(silent(wifi(), time.Second), dsl()), want: gone, why: "probes unanswered for 1 s on wifi"},
		{name: "probes unanswered where data waits", subs: with(func(s *Subflow) { s.Stalled, s.Unacked = 100*ms, 1 }), paths: ways(silent(wifi(), 200*ms), dsl()), want: "2 -1 failed ?wifi"},
	})
}

func TestRepeatedFailureEarnsProbation(t *testing.T) {
	dark := []Subflow{stalled(on(1, "wifi"), 300*ms), on(2, "dsl")}
	paths := ways(wifi(), dsl())
	m := Memory{}
	for i, want := range []time.Duration{0, 8 * time.Second, 16 * time.Second, 32 * time.Second} {
		c := Conn{Age: time.Duration(i+1) * 40 * time.Second, Subflows: dark}
		_, m = Decide(c, paths, m)
		if got := m.Notes[0].Until - c.Age; got != want {
			t.Errorf("failure %d: on probation for %v, want %v", i+1, got, want)
		}
	}
	_, m = Decide(Conn{Age: time.Hour, Subflows: dark}, paths, m)
	if m.Notes[0].Failures != 1 {
		t.Errorf("after an hour without trouble: %+v", m.Notes[0])
	}
}

// A download cannot show the client that its only path is dead: it asks.
func TestDoubt(t *testing.T) {
	receiving := func(quiet time.Duration) []Subflow {
		s := on(1, "wifi")
		s.Arrival, s.Quiet = 500_000, quiet
		return []Subflow{s}
	}
	answered := func(p Path, ago time.Duration) Path { p.Answered = ago; return p }
	run(t, Handover, []row{
		{name: "flows", subs: receiving(10 * ms), paths: ways(wifi(), lte()), want: "1"},
		{name: "stopped", subs: receiving(150 * ms), paths: ways(wifi(), lte()), want: "1 ?wifi"},
		{name: "ended long ago", subs: receiving(time.Minute), paths: ways(wifi(), lte()), want: "1"},
		{name: "the concentrator has another one", subs: append(receiving(150*ms), backedUp(on(2, "dsl"))), paths: ways(wifi(), dsl()), want: "1 2b ?wifi"},
		{name: "answered since", subs: receiving(150 * ms), paths: ways(answered(wifi(), 20*ms), lte()), want: "1"},
		{name: "answered before", subs: receiving(150 * ms), paths: ways(answered(wifi(), 200*ms), lte()), want: "1 ?wifi"},
	})
}
