package mode

import (
	"testing"
	"time"

	. "mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

func TestAggregate(t *testing.T) {
	busy := func(s Subflow, rate uint64) Subflow { s.Delivery = rate; return s }
	weak := lossy(busy(on(2, "dsl"), 40_000), 0.05)
	bloated := busy(on(2, "dsl"), 40_000)
	bloated.RTT = 600 * ms
	far := busy(estab(2, "dsl", 90*ms), 200_000)
	distant := busy(estab(2, "dsl", 400*ms), 120_000)
	growing := distant
	growing.Starting = true
	poor := Memory{Watches: []Watch{{ID: 2, Sign: SignPoor, Since: 27 * time.Second}}}
	had := Memory{Best: "wifi", Own: &GuardMemory{Mark: 1_200_000, At: 29 * time.Second}, Watches: poor.Watches}
	aside := Memory{Notes: []Note{{Path: "dsl", Reason: reason.Reason{Text: "loss"}, Failures: 1, Until: 35 * time.Second}}}
	over := Memory{Notes: []Note{{Path: "dsl", Reason: reason.Reason{Text: "loss"}, Failures: 1, Until: 29 * time.Second}}}
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
