package mode

import (
	"testing"
	"time"

	. "mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

func TestConcentrator(t *testing.T) {
	here := func(c *Conn) { c.Role = Concentrator }
	client := setAside
	aside := Memory{Notes: []Note{{Path: "192.0.2.1", Reason: reason.Reason{Text: "loss"}, Failures: 1, Until: 35 * time.Second}}}
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
