package mode

import (
	"testing"

	. "mpproxy/pathctl/policy"
)

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
