package policy

import (
	"testing"
	"time"
)

var on1 = []Subflow{on(1, "wifi")}

func TestAggregate(t *testing.T) {
	busy := func(s Subflow, rate uint64) Subflow { s.Delivery = rate; return s }
	weak := lossy(busy(on(2, "dsl"), 40_000), 0.05)
	bloated := busy(on(2, "dsl"), 40_000)
	bloated.RTT = 600 * ms
	far := busy(estab(2, "dsl", 90*ms), 200_000)
	distant := busy(estab(2, "dsl", 400*ms), 120_000)
	growing := distant
	growing.Starting = true
	poor := Memory{Watches: []Watch{{2, SignPoor, 27 * time.Second}}}
	had := Memory{Best: "wifi", Mark: 1_200_000, At: 29 * time.Second, Watches: poor.Watches}
	aside := Memory{Notes: []Note{{Path: "dsl", Why: "loss", Failures: 1, Until: 35 * time.Second}}}
	over := Memory{Notes: []Note{{Path: "dsl", Why: "loss", Failures: 1, Until: 29 * time.Second}}}
	waiting := func(c *Conn) { c.Pending = 1 << 20 }
	run(t, Aggregate, []row{
		{name: "start", subs: on1, paths: ways(wifi(), dsl(), lte()), want: "1 +dsl +lte b"},
		{name: "by name", subs: on1, paths: ways(lte(), dsl(), wifi()), want: "1 +dsl +lte b"},
		{name: "coming", subs: []Subflow{on(1, "wifi"), pending(2, "dsl", 50*ms)}, paths: ways(wifi(), dsl()), want: "1 2"},
		{name: "leave alone", subs: on1, paths: ways(wifi(), retry(dsl()), down(lte())), want: "1"},
		{name: "one that worked badly is for emergencies", subs: on1, paths: ways(wifi(), unproven(dsl())), want: "1"},
		{name: "this is one", subs: []Subflow{stalled(on(1, "wifi"), time.Second)}, paths: ways(wifi(), unproven(dsl())), want: "1 +dsl"},
		{name: "cannot join", subs: on1, paths: ways(wifi(), dsl()), conn: func(c *Conn) { c.CannotJoin = true }, want: "1"},
		{name: "no paths", subs: on1, want: "1"},
		{name: "began on the metered path", subs: []Subflow{on(1, "lte")}, paths: ways(wifi(), lte()), want: "1b +wifi", why: "lte is metered"},
		{name: "all metered", subs: []Subflow{on(1, "lte")}, paths: ways(lte(), func() Path { p := lte(); p.Name = "lte2"; return p }()), want: "1 +lte2"},
		{name: "rule", subs: []Subflow{on(1, "wifi"), on(2, "dsl")}, paths: ways(wifi(), dsl(), lte()), conn: func(c *Conn) { c.Prefer = []string{"lte", "dsl"} }, want: "2 -1 path-down +lte b"},
		{name: "two on one path", subs: []Subflow{on(1, "wifi"), on(2, "wifi")}, paths: ways(wifi()), want: "1 -2 unneeded"},
		{name: "limit", subs: on1, paths: ways(wifi(), dsl(), lte()), conn: func(c *Conn) { c.Params = DefaultParams(Aggregate); c.Params.MaxSubflows = 2 }, want: "1 +dsl"},

		{name: "guard: loss begins", subs: []Subflow{busy(on(1, "wifi"), 2_000_000), weak}, paths: ways(wifi(), dsl()), want: "1 2"},
		{name: "guard: loss lasts", subs: []Subflow{busy(on(1, "wifi"), 2_000_000), weak}, paths: ways(wifi(), dsl()), memory: poor, want: "1 2b", why: "dsl loses 5 %"},
		{name: "guard: loss, but a good share", subs: []Subflow{busy(on(1, "wifi"), 400_000), weak}, paths: ways(wifi(), dsl()), memory: poor, want: "1 2"},
		{name: "guard: queue", subs: []Subflow{busy(on(1, "wifi"), 2_000_000), bloated}, paths: ways(wifi(), dsl()), memory: poor, want: "1 2b", why: "RTT 600 ms"},
		{name: "guard: starved", subs: []Subflow{busy(on(1, "wifi"), 500_000), far}, paths: ways(wifi(), dsl()), memory: had, conn: waiting, want: "1 2b", why: "holds wifi back"},
		{name: "guard: starved, but not by a path as good", subs: []Subflow{busy(on(1, "wifi"), 500_000), busy(on(2, "dsl"), 200_000)}, paths: ways(wifi(), dsl()), memory: had, conn: waiting, want: "1 2"},
		{name: "guard: nothing to send", subs: []Subflow{busy(on(1, "wifi"), 500_000), far}, paths: ways(wifi(), dsl()), memory: had, want: "1 2"},
		{name: "guard: the best path itself is worse", subs: []Subflow{lossy(busy(on(1, "wifi"), 500_000), 0.05), far}, paths: ways(wifi(), dsl()), memory: had, conn: waiting, want: "1 2"},
		{name: "guard: far and little", subs: []Subflow{busy(on(1, "wifi"), 1_000_000), distant}, paths: ways(wifi(), dsl()), memory: poor, want: "1 2b", why: "dsl is set aside for 32 s: dsl carries less than 15 %"},
		{name: "guard: far, and still looking for its rate", subs: []Subflow{busy(on(1, "wifi"), 1_000_000), growing}, paths: ways(wifi(), dsl()), memory: poor, want: "1 2"},
		{name: "guard: far, with a good share", subs: []Subflow{busy(on(1, "wifi"), 500_000), distant}, paths: ways(wifi(), dsl()), memory: poor, want: "1 2"},
		{name: "set aside", subs: []Subflow{on(1, "wifi"), backedUp(on(2, "dsl"))}, paths: ways(wifi(), dsl()), memory: aside, want: "1 2b"},
		{name: "tried again", subs: []Subflow{on(1, "wifi"), backedUp(on(2, "dsl"))}, paths: ways(wifi(), dsl()), memory: over, want: "1 2", why: "dsl is usable"},
		{name: "set aside but alone", subs: []Subflow{backedUp(on(2, "dsl"))}, paths: ways(down(wifi()), dsl()), memory: aside, want: "2"},
	})
}

func setAside(s Subflow) Subflow { s.PeerBackup = true; return s }

func TestHandover(t *testing.T) {
	onWifi := Memory{Best: "wifi"}
	onLTE := Memory{Best: "lte", Since: 20 * time.Second, Notes: []Note{{Path: "wifi", Why: "dark", Failures: 1, Until: 20 * time.Second}}}
	justBack := Memory{Best: "wifi", Since: 29500 * ms, Notes: onLTE.Notes}
	young := on(3, "wifi")
	young.Age = time.Second
	dark := stalled(on(1, "wifi"), 240*ms)
	run(t, Handover, []row{
		{name: "metered standby has no subflow", subs: on1, paths: ways(wifi(), lte()), want: "1"},
		{name: "unmetered standby is established", subs: on1, paths: ways(wifi(), dsl(), lte()), want: "1 +dsl b"},
		{name: "standby waits", subs: []Subflow{on(1, "wifi"), backedUp(on(2, "dsl"))}, paths: ways(wifi(), dsl()), memory: onWifi, want: "1 2b"},
		{name: "fails over", subs: []Subflow{dark, backedUp(on(2, "dsl"))}, paths: ways(wifi(), dsl(), lte()), memory: onWifi, want: "2 -1 failed", why: "no progress for 240 ms on wifi"},
		{name: "fails, metered only", subs: []Subflow{dark}, paths: ways(wifi(), lte()), memory: onWifi, want: "1 +lte", why: "no progress for 240 ms on wifi"},
		{name: "metered coming", subs: []Subflow{dark, pending(2, "lte", 50*ms)}, paths: ways(wifi(), lte()), memory: onWifi, want: "1 2"},
		{name: "metered does not come", subs: []Subflow{dark, pending(2, "lte", 2*time.Second)}, paths: ways(wifi(), dsl(), lte()), memory: onWifi, want: "1 2 +dsl"},
		{name: "metered came", subs: []Subflow{dark, on(2, "lte")}, paths: ways(wifi(), lte()), memory: onWifi, want: "2 -1 failed"},
		{name: "wifi recovered meanwhile", subs: []Subflow{on(1, "wifi"), pending(2, "lte", 50*ms)}, paths: ways(wifi(), lte()), memory: onWifi, want: "1 -2 unneeded"},
		{name: "link down", subs: []Subflow{on(1, "wifi"), backedUp(on(2, "dsl"))}, paths: ways(down(wifi()), dsl()), memory: onWifi, want: "2 -1 path-down", why: "wifi is down"},
		{name: "initial path gone", subs: []Subflow{on(1, "wifi")}, paths: ways(lte()), memory: onWifi, want: "1 +lte"},
		{name: "on metered, better one may be tried", subs: []Subflow{on(2, "lte")}, paths: ways(wifi(), lte()), memory: onLTE, want: "2 +wifi b", why: "wifi is preferred to lte"},
		{name: "better one is young", subs: []Subflow{on(2, "lte"), backedUp(young)}, paths: ways(wifi(), lte()), memory: onLTE, want: "2 3b", then: func(t *testing.T, p Plan, _ Memory) {
			if p.Look > 2*time.Second {
				t.Errorf("looks again in %v, 2 s are left", p.Look)
			}
		}},
		{name: "better one is up for a moment", subs: []Subflow{on(2, "lte"), backedUp(on(3, "wifi"))}, paths: ways(upFor(wifi(), time.Second), lte()), memory: onLTE, want: "2 3b"},
		{name: "back", subs: []Subflow{on(2, "lte"), backedUp(on(3, "wifi"))}, paths: ways(wifi(), lte()), memory: onLTE, want: "2b 3", why: "wifi is preferred and has been good for 3 s"},
		{name: "the concentrator does not trust it yet", subs: []Subflow{on(2, "lte"), setAside(backedUp(on(3, "wifi")))}, paths: ways(wifi(), lte()), memory: onLTE, want: "2 3b"},
		{name: "fails over to what the concentrator trusts", subs: []Subflow{dark, setAside(backedUp(on(2, "dsl"))), backedUp(on(3, "lte"))}, paths: ways(wifi(), dsl(), lte()), memory: onWifi, want: "2b 3 -1 failed"},
		{name: "metered lingers", subs: []Subflow{backedUp(on(2, "lte")), on(3, "wifi")}, paths: ways(wifi(), lte()), memory: justBack, want: "2b 3"},
		{name: "metered goes", subs: []Subflow{backedUp(on(2, "lte")), on(3, "wifi")}, paths: ways(wifi(), lte()), memory: onWifi, want: "3 -2 unneeded"},
		{name: "rule prefers the metered path", subs: []Subflow{on(1, "lte")}, paths: ways(wifi(), lte()), conn: func(c *Conn) { c.Prefer = []string{"lte", "wifi"} }, want: "1 +wifi b"},
		{name: "both fail", subs: []Subflow{dark, stalled(on(2, "dsl"), time.Second)}, paths: ways(wifi(), dsl(), lte()), memory: onWifi, want: "1 2 +lte"},
		{name: "all down", subs: []Subflow{on(1, "wifi"), backedUp(on(2, "dsl"))}, paths: ways(down(wifi()), down(dsl())), memory: onWifi, want: "1 2b"},
		{name: "nothing established yet", subs: []Subflow{pending(1, "wifi", 50*ms)}, paths: ways(wifi(), lte()), want: "1"},
	})
}

func TestInteractive(t *testing.T) {
	onWifi := Memory{Best: "wifi", Since: time.Second}
	rival := Memory{Best: "wifi", Since: time.Second, Rival: "dsl", RivalSince: 29 * time.Second}
	left := Memory{Best: "dsl", Since: 20 * time.Second, Notes: []Note{{Path: "wifi", Why: "RTT", Failures: 1, Until: 35 * time.Second}}}
	again := Memory{Best: "dsl", Since: 20 * time.Second, Rival: "wifi", RivalSince: 29 * time.Second, Notes: []Note{{Path: "wifi", Failures: 1, Until: 29 * time.Second}}}
	idle := func(s Subflow) Subflow { s.Busy = false; return s }
	full := estab(1, "wifi", 300*ms)
	full.MinRTT = 20 * ms
	timeout := on(1, "wifi")
	timeout.Timeouts, timeout.Unacked, timeout.Stalled = 1, 1, 230*ms
	both := func(a, b Subflow) []Subflow { return []Subflow{a, backedUp(idle(b))} }
	aged := func(p Path, age time.Duration) Path { p.RTT, p.RTTAge = 60*ms, age; return p }
	run(t, Interactive, []row{
		{name: "measures what is idle", subs: both(on(1, "wifi"), estab(2, "dsl", 60*ms)), paths: ways(wifi(), aged(dsl(), 2*time.Second)), memory: onWifi, want: "1 2b ?dsl"},
		{name: "a metered one seldom", subs: both(on(1, "wifi"), estab(2, "lte", 60*ms)), paths: ways(wifi(), aged(lte(), 2*time.Second)), memory: onWifi, want: "1 2b"},
		{name: "moves to nothing that is not measured now", subs: both(full, estab(2, "dsl", 60*ms)), paths: ways(wifi(), aged(dsl(), 2*time.Second)), memory: rival, want: "1 2b ?dsl"},
		{name: "start", subs: on1, paths: ways(wifi(), dsl(), lte()), want: "1 +dsl b +lte b"},
		{name: "stays", subs: both(on(1, "wifi"), estab(2, "dsl", 60*ms)), paths: ways(wifi(), dsl()), memory: onWifi, want: "1 2b"},
		{name: "a little better is no reason", subs: both(estab(1, "wifi", 50*ms), estab(2, "dsl", 45*ms)), paths: ways(wifi(), dsl()), memory: rival, want: "1 2b"},
		{name: "queue begins", subs: both(full, estab(2, "dsl", 60*ms)), paths: ways(wifi(), dsl()), memory: onWifi, want: "1 2b"},
		{name: "queue lasts", subs: both(full, estab(2, "dsl", 60*ms)), paths: ways(wifi(), dsl()), memory: rival, want: "1b 2", why: "RTT 300 ms on wifi, 60 ms on dsl"},
		{name: "the peer sends on the other one", subs: []Subflow{full, backedUp(estab(2, "dsl", 240*ms))}, paths: ways(wifi(), aged(dsl(), time.Second)), memory: rival, want: "1b 2", why: "RTT 300 ms on wifi, 60 ms on dsl"},
		{name: "metered must be much better", subs: both(estab(1, "wifi", 120*ms), estab(2, "lte", 60*ms)), paths: ways(wifi(), lte()), memory: Memory{Best: "wifi", Rival: "lte"}, want: "1 2b"},
		{name: "first timeout", subs: both(timeout, estab(2, "dsl", 60*ms)), paths: ways(wifi(), dsl()), memory: onWifi, want: "1b 2 ?wifi", why: "1 timeouts on wifi"},
		{name: "timeout without another path", subs: []Subflow{timeout}, paths: ways(wifi(), retry(dsl())), memory: onWifi, want: "1"},
		{name: "dark", subs: both(stalled(on(1, "wifi"), 240*ms), estab(2, "dsl", 60*ms)), paths: ways(wifi(), dsl()), memory: onWifi, want: "2 -1 failed"},
		{name: "left for its queue", subs: []Subflow{backedUp(idle(full)), estab(2, "dsl", 60*ms)}, paths: ways(wifi(), dsl()), memory: left, want: "1b 2"},
		{name: "tried again", subs: []Subflow{backedUp(idle(full)), estab(2, "dsl", 60*ms)}, paths: ways(wifi(), dsl()), memory: again, want: "1 2b"},
		{name: "not while others see the queue", subs: []Subflow{backedUp(idle(full)), estab(2, "dsl", 60*ms)}, paths: ways(func() Path { p := wifi(); p.RTT = 700 * ms; return p }(), dsl()), memory: again, want: "1b 2"},
	})
}

func TestLazy(t *testing.T) {
	burst := func(bytes uint64, since time.Duration) Memory {
		return Memory{Best: "wifi", Active: true, At: 30*time.Second - since, Mark: 5_000_000 - bytes}
	}
	sent := func(c *Conn) { c.Sent = 5_000_000 }
	idle := on(1, "wifi")
	idle.Busy = false
	run(t, Lazy, []row{
		{name: "start", subs: on1, paths: ways(wifi(), dsl()), want: "1"},
		{name: "small", subs: on1, paths: ways(wifi(), dsl()), memory: burst(200_000, 300*ms), conn: sent, want: "1"},
		{name: "many bytes", subs: on1, paths: ways(wifi(), dsl(), lte()), memory: burst(1_100_000, 300*ms), conn: sent, want: "1 +dsl +lte b", why: "1100000 bytes without a pause"},
		{name: "long", subs: on1, paths: ways(wifi(), dsl()), memory: burst(200_000, 4*time.Second), conn: sent, want: "1 +dsl", why: "200000 bytes in 4 s"},
		{name: "long but thin", subs: on1, paths: ways(wifi(), dsl()), memory: burst(50_000, 4*time.Second), conn: sent, want: "1"},
		{name: "a pause starts anew", subs: []Subflow{idle}, paths: ways(wifi(), dsl()), memory: burst(900_000, time.Second), conn: sent, want: "1", then: func(t *testing.T, _ Plan, m Memory) {
			if m.Active || m.Mark != 5_000_000 {
				t.Errorf("remembers %+v", m)
			}
		}},
		{name: "grown up", subs: []Subflow{idle}, paths: ways(wifi(), dsl()), memory: Memory{Turn: 1}, want: "1 +dsl"},
		{name: "first path fails early", subs: []Subflow{stalled(on(1, "wifi"), 300*ms)}, paths: ways(wifi(), dsl()), want: "1 +dsl"},
	})
}

func TestStreaming(t *testing.T) {
	block := func(since time.Duration, acked uint64) Memory {
		return Memory{Active: true, At: 30*time.Second - since, Mark: 1_000_000 - acked}
	}
	some := func(c *Conn) { c.Sent, c.Pending = 1_000_000, 30_000 }
	none := func(c *Conn) { c.Sent = 1_000_000 }
	slow := on(1, "wifi")
	slow.Timeouts, slow.RTO, slow.Unacked, slow.Stalled = 1, 1090*ms, 10, 540*ms
	in := on(1, "wifi")
	in.Arrival, in.Quiet = 20_000, 10*ms
	incoming := func(c *Conn) { c.Received = 20_000 }
	run(t, Streaming, []row{
		{name: "in time", subs: on1, paths: ways(wifi(), dsl()), memory: block(510*ms, 40_000), conn: some, want: "1"},
		{name: "not half-way yet", subs: on1, paths: ways(wifi(), dsl()), memory: block(400*ms, 1000), conn: some, want: "1"},
		{name: "late", subs: on1, paths: ways(wifi(), dsl()), memory: block(510*ms, 20_000), conn: some, want: "1 +dsl", why: "20000 of 65536 bytes after 510 ms"},
		{name: "small but whole", subs: on1, paths: ways(wifi(), dsl()), memory: block(510*ms, 20_000), conn: none, want: "1"},
		{name: "late, with a reserve", subs: []Subflow{on(1, "wifi"), backedUp(on(2, "dsl"))}, paths: ways(wifi(), dsl(), lte()), memory: block(510*ms, 20_000), conn: some, want: "1 2"},
		{name: "late, coming in", subs: []Subflow{in}, paths: ways(wifi(), dsl()), memory: Memory{Active: true, At: 29490 * ms, Mark: 0}, conn: incoming, want: "1 +dsl"},
		{name: "RTO too long", subs: []Subflow{slow, on(2, "dsl")}, paths: ways(wifi(), dsl()), conn: some, want: "2 -1 failed", why: "RTO 1.09 s ≥ 1 s on wifi"},
		{name: "closed one comes back as reserve", subs: []Subflow{on(2, "dsl")}, paths: ways(wifi(), dsl()), memory: Memory{Notes: []Note{{Path: "wifi", Failures: 1, Until: 20 * time.Second}}}, want: "2 +wifi b"},
		{name: "only the reserve is left", subs: []Subflow{backedUp(on(2, "dsl"))}, paths: ways(retry(wifi()), dsl()), want: "2", why: "nothing else is in use"},
	})
}

func TestBackup(t *testing.T) {
	run(t, Backup, []row{
		{name: "start", subs: on1, paths: ways(wifi(), dsl(), lte()), want: "1 +dsl b"},
		{name: "metered, too", subs: on1, paths: ways(wifi(), lte()), want: "1 +lte b"},
		{name: "stays", subs: []Subflow{on(1, "wifi"), backedUp(on(2, "lte"))}, paths: ways(wifi(), lte()), want: "1 2b"},
		{name: "fails", subs: []Subflow{stalled(on(1, "wifi"), 300*ms), backedUp(on(2, "lte"))}, paths: ways(wifi(), lte()), want: "2 -1 failed"},
	})
}

func TestSingle(t *testing.T) {
	dead := stalled(on(1, "wifi"), time.Minute)
	run(t, Single, []row{
		{name: "one", subs: on1, paths: ways(wifi(), dsl(), lte()), want: "1"},
		{name: "one that stalls", subs: []Subflow{dead}, paths: ways(wifi(), dsl()), want: "1"},
		{name: "one that loses", subs: []Subflow{lossy(on(1, "wifi"), 0.5)}, paths: ways(wifi(), dsl()), memory: Memory{Watches: []Watch{{1, SignLoss, time.Second}}}, want: "1"},
		{name: "path down", subs: on1, paths: ways(down(wifi()), dsl()), want: "1 +dsl", why: "wifi is down"},
		{name: "successor comes", subs: []Subflow{on(1, "wifi"), pending(2, "dsl", 50*ms)}, paths: ways(down(wifi()), dsl(), lte()), want: "1 2"},
		{name: "successor came", subs: []Subflow{on(1, "wifi"), on(2, "dsl")}, paths: ways(down(wifi()), dsl()), want: "2 -1 path-down"},
		{name: "another one that the peer made", subs: []Subflow{on(1, "wifi"), on(2, "dsl")}, paths: ways(wifi(), dsl()), want: "1 -2 unneeded"},
	})
}

func TestNdiffports(t *testing.T) {
	run(t, Ndiffports, []row{
		{name: "start", subs: on1, paths: ways(wifi(), dsl()), want: "1 +wifi"},
		{name: "complete", subs: []Subflow{on(1, "wifi"), on(2, "wifi")}, paths: ways(wifi(), dsl()), want: "1 2"},
		{name: "path down", subs: []Subflow{on(1, "wifi"), on(2, "wifi")}, paths: ways(down(wifi()), dsl()), want: "1 2 +dsl"},
		{name: "moved", subs: []Subflow{on(1, "wifi"), on(2, "wifi"), on(3, "dsl")}, paths: ways(down(wifi()), dsl()), want: "3 -1 path-down -2 path-down +dsl"},
		{name: "one fails", subs: []Subflow{on(1, "wifi"), stalled(on(2, "wifi"), 300*ms)}, paths: ways(wifi()), want: "1 -2 failed", then: func(t *testing.T, _ Plan, m Memory) {
			if m.Notes != nil {
				t.Errorf("holds it against a path that works: %+v", m.Notes)
			}
		}},
	})
}

func TestRefresh(t *testing.T) {
	// Number n has carried n × 100 kB since the stage began, number 3 only 50.
	some := func(n int, change func(s []Subflow)) []Subflow {
		var s []Subflow
		for id := range SubflowID(n) {
			f := on(id+1, "wifi")
			f.Sent = uint64(1000+100*(id+1)) * 1000
			s = append(s, f)
		}
		s[2].Sent = 1050 * 1000
		change(s)
		return s
	}
	asIs := func([]Subflow) {}
	in := func(stage Stage, since time.Duration, n int) Memory {
		m := Memory{Best: "wifi", Active: true, Stage: stage, At: 30*time.Second - since}
		for id := range SubflowID(n) {
			m.Counts = append(m.Counts, Carried{id + 1, 1_000_000})
		}
		return m
	}
	turn := func(n int, rate uint64, m Memory) Memory { m.Turn, m.Rate, m.Mark = n, rate, 1_000_000; return m }
	was := func(id SubflowID, total uint64, m Memory) Memory {
		m.Parked, m.Total = []SubflowID{id}, total
		return m
	}
	proven := func(id SubflowID, m Memory) Memory { m.Proven = []SubflowID{id}; return m }
	parked := func(from int) func(s []Subflow) {
		return func(s []Subflow) {
			for i := from - 1; i < len(s); i++ {
				s[i].Backup = true
			}
		}
	}
	starve := func(s []Subflow) {
		for i := range s {
			s[i].Pacing = 1_000_000
		}
		s[4].Pacing = 10_000
	}
	idle := func(s []Subflow) {
		for i := range s {
			s[i].Busy = false
		}
	}
	mostStall := func(s []Subflow) {
		for i := range s[:3] {
			s[i] = stalled(s[i], 300*ms)
		}
	}
	tight := func(c *Conn) { c.Params = DefaultParams(Refresh); c.Params.MaxSubflows = 5 }
	sent := func(n uint64) func(*Conn) { return func(c *Conn) { c.Sent = n } }
	then := func(stage Stage, turn int) func(*testing.T, Plan, Memory) {
		return func(t *testing.T, _ Plan, m Memory) {
			t.Helper()
			if m.Stage != stage || m.Turn != turn || m.At != 30*time.Second {
				t.Errorf("in stage %q since %v, turn %d, want %q, turn %d", m.Stage, m.At, m.Turn, stage, turn)
			}
		}
	}
	run(t, Refresh, []row{
		{name: "start", subs: on1, paths: ways(wifi(), dsl()), want: "1 +wifi +wifi +wifi +wifi"},
		{name: "begins to flow", subs: some(5, asIs), paths: ways(wifi()), memory: Memory{Best: "wifi"}, want: "1 2 3 4 5", then: then(stageQuiet, 0)},
		{name: "others are tried", subs: some(5, asIs), paths: ways(wifi()), memory: in(stageQuiet, time.Second, 5), want: "1 2 3 4 5 +wifi +wifi +wifi +wifi +wifi +wifi +wifi +wifi +wifi +wifi", then: then(stageWarm, 1)},
		{name: "others are tried again", subs: some(5, asIs), paths: ways(wifi()), memory: turn(1, 0, in(stageQuiet, time.Second, 5)), want: "1 2 3 4 5 +wifi +wifi +wifi +wifi +wifi", then: then(stageWarm, 2)},
		{name: "path to be left alone", subs: some(5, asIs), paths: ways(retry(wifi())), memory: in(stageQuiet, time.Second, 5), want: "1 2 3 4 5"},
		{name: "no room beside them", subs: some(5, asIs), paths: ways(wifi()), memory: in(stageQuiet, time.Second, 5), conn: tight, want: "1 2 4 5 -3 replaced +wifi", why: "the slowest on wifi (50000 bytes/s)"},
		{name: "no room for more", subs: some(18, parked(6)), paths: ways(wifi()), memory: in(stageQuiet, time.Second, 5), want: "1 2 3 4 5 -6 replaced -7 replaced -8 replaced -9 replaced -10 replaced -11 replaced -12 replaced -13 replaced -14 replaced -15 replaced -16 replaced -17 replaced -18 replaced", then: then(stageRoom, 1)},
		{name: "room was made", subs: some(5, asIs), paths: ways(wifi()), memory: turn(3, 0, in(stageRoom, time.Second, 5)), want: "1 2 3 4 5 +wifi +wifi +wifi +wifi +wifi", then: then(stageWarm, 3)},

		{name: "still coming", subs: some(8, func(s []Subflow) { s[7] = pending(8, "wifi", 50*ms) }), paths: ways(wifi()), memory: in(stageWarm, time.Second, 5), want: "1 2 3 4 5 6 7 8"},
		{name: "still young", subs: some(8, func(s []Subflow) { s[7].Age = 300 * ms }), paths: ways(wifi()), memory: in(stageWarm, time.Second, 5), want: "1 2 3 4 5 6 7 8"},
		{name: "up to speed", subs: some(8, asIs), paths: ways(wifi()), memory: in(stageWarm, time.Second, 5), want: "1 2 3 4 5 6 7 8", then: then(stageJudge, 0)},
		{name: "judged too soon", subs: some(8, asIs), paths: ways(wifi()), memory: in(stageJudge, 300*ms, 8), want: "1 2 3 4 5 6 7 8"},
		{name: "slowest are parked", subs: some(8, asIs), paths: ways(wifi()), memory: in(stageJudge, time.Second, 8), want: "1b 2 3b 4 5 6 7 8", why: "the slowest of 8 on wifi (50000 bytes/s)", then: then(stageJudge, 0)},
		{name: "fast one is parked alone", subs: some(8, func(s []Subflow) { s[0].Sent, s[2].Sent = 1_900_000, 1_900_000 }), paths: ways(wifi()), memory: in(stageJudge, time.Second, 8), want: "1 2b 3 4 5 6 7 8", then: then(stageJudge, 0)},
		{name: "most that are too many", subs: some(8, func(s []Subflow) { s[0].Sent, s[4].Sent = 1_010_000, 1_010_000 }), paths: ways(wifi()), memory: in(stageJudge, time.Second, 8), want: "1b 2 3b 4 5b 6 7 8", then: then(stageJudge, 0)},
		{name: "no more than are too many", subs: some(7, func(s []Subflow) { s[0].Sent, s[4].Sent = 1_010_000, 1_010_000 }), paths: ways(wifi()), memory: in(stageJudge, time.Second, 7), want: "1b 2 3 4 5b 6 7", then: then(stageJudge, 0)},
		{name: "what comes in counts as well", subs: some(8, func(s []Subflow) { s[2].Received = 5_000_000 }), paths: ways(wifi()), memory: in(stageJudge, time.Second, 8), want: "1b 2b 3 4b 5 6 7 8"},
		{name: "last is parked", subs: some(8, parked(7)), paths: ways(wifi()), memory: in(stageJudge, time.Second, 6), want: "1 2 3b 4 5 6 7b 8b", then: then(stageJudge, 0)},
		{name: "starving is parked at once", subs: some(8, starve), paths: ways(wifi()), memory: in(stageWarm, 100*ms, 8), want: "1 2 3 4 5b 6 7 8", why: "hardly gets anything"},
		{name: "starving, still starting", subs: some(8, func(s []Subflow) { starve(s); s[4].Starting = true }), paths: ways(wifi()), memory: in(stageWarm, 100*ms, 8), want: "1 2 3 4 5 6 7 8"},
		{name: "starving, too young", subs: some(8, func(s []Subflow) { starve(s); s[4].Age = 300 * ms }), paths: ways(wifi()), memory: in(stageWarm, 100*ms, 8), want: "1 2 3 4 5 6 7 8"},
		{name: "starving, one of n", subs: some(5, starve), paths: ways(wifi()), memory: in(stageQuiet, 100*ms, 5), want: "1 2 3 4 5"},
		{name: "n are left", subs: some(8, parked(6)), paths: ways(wifi()), memory: was(8, 1_300_000, in(stageJudge, time.Second, 5)), want: "1 2 3 4 5 6b 7b 8b", then: then(stageQuiet, 0)},
		{name: "slower without it", subs: some(8, parked(6)), paths: ways(wifi()), memory: was(8, 2_000_000, in(stageJudge, time.Second, 5)), want: "1 2 3 4 5 6b 7b 8", why: "2000000 bytes/s with it, 1250000 without it", then: then(stageJudge, 0)},
		{name: "then another one", subs: some(6, asIs), paths: ways(wifi()), memory: proven(3, in(stageJudge, time.Second, 6)), want: "1b 2 3 4 5 6", then: then(stageJudge, 0)},

		{name: "rests after a round in vain", subs: some(5, asIs), paths: ways(wifi()), memory: turn(4, 100_000, in(stageQuiet, 4*time.Second, 5)), want: "1 2 3 4 5"},
		{name: "in vain again", subs: some(5, asIs), paths: ways(wifi()), memory: turn(4, 100_000, in(stageQuiet, 10*time.Second, 5)), conn: sent(2_000_000), want: "1 2 3 4 5 +wifi +wifi +wifi +wifi +wifi", then: then(stageWarm, 5)},
		{name: "with gain", subs: some(5, asIs), paths: ways(wifi()), memory: turn(4, 100_000, in(stageQuiet, 10*time.Second, 5)), conn: sent(2_100_000), want: "1 2 3 4 5 +wifi +wifi +wifi +wifi +wifi", then: then(stageWarm, 2)},
		{name: "rate has fallen", subs: some(5, asIs), paths: ways(wifi()), memory: turn(4, 100_000, in(stageQuiet, 10*time.Second, 5)), conn: sent(1_800_000), want: "1 2 3 4 5 +wifi +wifi +wifi +wifi +wifi", then: then(stageWarm, 2)},

		{name: "one fails", subs: some(6, func(s []Subflow) { parked(6)(s); s[0] = stalled(s[0], 300*ms) }), paths: ways(wifi()), memory: turn(4, 100_000, in(stageQuiet, time.Second, 5)), want: "2 3 4 5 6 -1 failed", why: "in place of another one", then: then(stageQuiet, 0)},
		{name: "two fail together", subs: some(5, func(s []Subflow) { s[0], s[1] = stalled(s[0], 300*ms), stalled(s[1], 300*ms) }), paths: ways(wifi()), memory: in(stageQuiet, 100*ms, 5), want: "3 4 5 -1 failed -2 failed"},
		{name: "most stand still", subs: some(5, mostStall), paths: ways(wifi()), memory: in(stageQuiet, 100*ms, 5), want: "1 2 3 4 5"},
		{name: "most have stood still for too long", subs: some(5, mostStall), paths: ways(wifi()), memory: Memory{Best: "wifi", Active: true, At: 29900 * ms, Stood: 29800 * ms}, want: "4 5 -1 failed -2 failed -3 failed"},
		{name: "one fails right after another", subs: some(5, func(s []Subflow) { s[0] = stalled(s[0], 300*ms) }), paths: ways(wifi()), memory: Memory{Best: "wifi", Active: true, At: 29900 * ms, Lost: 29950 * ms}, want: "1 2 3 4 5"},
		{name: "a parked one waits for its timer", subs: some(6, func(s []Subflow) { parked(6)(s); s[5] = stalled(s[5], 300*ms) }), paths: ways(wifi()), memory: in(stageQuiet, 100*ms, 5), want: "1 2 3 4 5 6b"},
		{name: "a parked one has failed", subs: some(6, func(s []Subflow) { parked(6)(s); s[5] = stalled(s[5], time.Second); s[5].Timeouts = 2 }), paths: ways(wifi()), memory: in(stageQuiet, 100*ms, 5), want: "1 2 3 4 5 -6 failed"},
		{name: "nothing flows", subs: some(5, idle), paths: ways(wifi()), memory: in(stageQuiet, time.Second, 5), want: "1 2 3 4 5"},
		{name: "nothing flows in a round", subs: some(8, func(s []Subflow) { parked(8)(s); idle(s) }), paths: ways(wifi()), memory: in(stageJudge, time.Second, 7), want: "1 2 3 4 5 -6 replaced -7 replaced -8 replaced"},
	})
}

func TestConcentrator(t *testing.T) {
	here := func(c *Conn) { c.Role = Concentrator }
	client := setAside
	aside := Memory{Notes: []Note{{Path: "192.0.2.1", Why: "loss", Failures: 1, Until: 35 * time.Second}}}
	a, b := on(1, "192.0.2.1"), on(2, "198.51.100.1")
	for _, mode := range []Mode{Aggregate, Handover, Interactive, Streaming} {
		run(t, mode, []row{
			{name: "creates nothing", subs: []Subflow{a}, paths: ways(wifi(), dsl()), conn: here, want: "1"},
			{name: "leaves the client's priorities", subs: []Subflow{a, client(b)}, conn: here, want: "1 2"},
			{name: "fails", subs: []Subflow{stalled(a, 300*ms), client(b)}, conn: here, want: "2 -1 failed", why: "no progress for 300 ms on 192.0.2.1"},
			{name: "fails alone", subs: []Subflow{stalled(a, time.Minute)}, conn: here, want: "1"},
			{name: "fails, the other one is not established", subs: []Subflow{stalled(a, time.Minute), pending(2, "198.51.100.1", 0)}, conn: here, want: "1 2"},
			{name: "came back after loss", subs: []Subflow{a, b}, memory: aside, conn: here, want: "1b 2", why: "set aside for 5 s: loss"},
			{name: "came back, but is the client's choice", subs: []Subflow{a, client(b)}, memory: aside, conn: here, want: "1 2"},
			{name: "comes off probation", subs: []Subflow{backedUp(a), b}, conn: here, want: "1 2"},
		})
	}
}
