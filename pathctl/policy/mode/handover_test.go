package mode

import (
	"testing"
	"time"

	. "mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

func TestHandover(t *testing.T) {
	onWifi := Memory{Best: "wifi"}
	onLTE := Memory{Best: "lte", Since: 20 * time.Second, Notes: []Note{{Path: "wifi", Reason: reason.Reason{Text: "dark"}, Failures: 1, Until: 20 * time.Second}}}
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
