package mode

import (
	"testing"
	"time"

	. "mpproxy/pathctl/policy"
)

func TestSingle(t *testing.T) {
	dead := stalled(on(1, "wifi"), time.Minute)
	run(t, Single, []row{
		{name: "one", subs: on1, paths: ways(wifi(), dsl(), lte()), want: "1"},
		{name: "one that stalls", subs: []Subflow{dead}, paths: ways(wifi(), dsl()), want: "1"},
		{name: "one that loses", subs: []Subflow{lossy(on(1, "wifi"), 0.5)}, paths: ways(wifi(), dsl()), memory: Memory{Watches: []Watch{{ID: 1, Sign: SignLoss, Since: time.Second}}}, want: "1"},
		{name: "path down", subs: on1, paths: ways(down(wifi()), dsl()), want: "1 +dsl", why: "wifi is down"},
		{name: "successor comes", subs: []Subflow{on(1, "wifi"), pending(2, "dsl", 50*ms)}, paths: ways(down(wifi()), dsl(), lte()), want: "1 2"},
		{name: "successor came", subs: []Subflow{on(1, "wifi"), on(2, "dsl")}, paths: ways(down(wifi()), dsl()), want: "2 -1 path-down"},
		{name: "another one that the peer made", subs: []Subflow{on(1, "wifi"), on(2, "dsl")}, paths: ways(wifi(), dsl()), want: "1 -2 unneeded"},
	})
}
