package mode

import (
	"testing"
	"time"

	. "mpproxy/pathctl/policy"
)

func TestLazy(t *testing.T) {
	burst := func(bytes uint64, since time.Duration) Memory {
		return Memory{Best: "wifi", Own: &LazyMemory{Active: true, GuardMemory: GuardMemory{At: 30*time.Second - since, Mark: 5_000_000 - bytes}}}
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
			if own := m.Own.(*LazyMemory); own.Active || own.Mark != 5_000_000 {
				t.Errorf("remembers %+v", own)
			}
		}},
		{name: "grown up", subs: []Subflow{idle}, paths: ways(wifi(), dsl()), memory: Memory{Own: &LazyMemory{Turn: 1}}, want: "1 +dsl"},
		{name: "first path fails early", subs: []Subflow{stalled(on(1, "wifi"), 300*ms)}, paths: ways(wifi(), dsl()), want: "1 +dsl"},
	})
}
