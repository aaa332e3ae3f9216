package mode

import (
	"testing"
	"time"

	. "mpproxy/pathctl/policy"
)

func TestStreaming(t *testing.T) {
	block := func(since time.Duration, acked uint64) Memory {
		return Memory{Own: &StreamingMemory{Active: true, At: 30*time.Second - since, Mark: 1_000_000 - acked}}
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
		{name: "late, coming in", subs: []Subflow{in}, paths: ways(wifi(), dsl()), memory: Memory{Own: &StreamingMemory{Active: true, At: 29490 * ms, Mark: 0}}, conn: incoming, want: "1 +dsl"},
		{name: "RTO too long", subs: []Subflow{slow, on(2, "dsl")}, paths: ways(wifi(), dsl()), conn: some, want: "2 -1 failed", why: "RTO 1.09 s ≥ 1 s on wifi"},
		{name: "closed one comes back as reserve", subs: []Subflow{on(2, "dsl")}, paths: ways(wifi(), dsl()), memory: Memory{Notes: []Note{{Path: "wifi", Failures: 1, Until: 20 * time.Second}}}, want: "2 +wifi b"},
		{name: "only the reserve is left", subs: []Subflow{backedUp(on(2, "dsl"))}, paths: ways(retry(wifi()), dsl()), want: "2", why: "nothing else is in use"},
	})
}
