package mode

import (
	"testing"
	"time"

	. "mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

func TestInteractive(t *testing.T) {
	onWifi := Memory{Best: "wifi", Since: time.Second}
	rival := Memory{Best: "wifi", Since: time.Second, Rival: "dsl", RivalSince: 29 * time.Second}
	left := Memory{Best: "dsl", Since: 20 * time.Second, Notes: []Note{{Path: "wifi", Reason: reason.Reason{Text: "RTT"}, Failures: 1, Until: 35 * time.Second}}}
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
