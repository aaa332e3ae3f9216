package engine

import (
	"testing"
	"time"

	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

// TestEventsOfTheBeginningAreLost: a connection gets its second subflow although
// the kernel's events about it were lost, as soon as its sockets show that subflows
// may join.
func TestEventsOfTheBeginningAreLost(t *testing.T) {
	for _, tt := range []struct {
		name    string
		created bool // that event is not lost
	}{
		{"all", false},
		{"all but the first", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			if tt.created {
				b.event(t, mptcppm.Event{Kind: mptcppm.EventCreated, Local: mapped10, Remote: far10})
			}
			r := &fakeReader{reading: onFirst()}
			b.register(registration(r, mode.Aggregate))(b.now)
			b.pass(t, time.Second)
			wantDid(t, b.kernel) // the peer has not said anything yet
			r.reading.Subflows[0].TCP.BytesReceived = 1
			b.lookAtAll(b.now)
			b.pass(t, 0)
			wantDid(t, b.kernel, createSecond)
			if f := b.conns[testToken].byID(1); !f.initial {
				t.Error("the first subflow is not known as such")
			}
			b.pass(t, time.Second)
			wantDid(t, b.kernel) // once
		})
	}
}
