package engine

import (
	"testing"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

// endable is a fakeReader whose connection can be ended.
type endable struct {
	*fakeReader
	ended bool
}

func (r *endable) End() error {
	r.ended = true
	return nil
}

// TestEndOfDeadConnection: a refused join ends a connection only where nothing is left
// that could carry it.
func TestEndOfDeadConnection(t *testing.T) {
	silent := uapi.TCPInfo{State: uapi.TCPEstablished, Probes: 1, LastAckReceived: 3 * prodAfter, LastDataReceived: 3 * prodAfter}
	for _, tt := range []struct {
		name    string
		first   *uapi.TCPInfo // nil: it was reset
		refused []string
		others  bool // others join there since
		ended   bool
	}{
		{name: "a subflow is idle", first: &established, refused: []string{"lte0"}},
		{name: "a subflow is idle, and others join", first: &established, refused: []string{"lte0"}, others: true},
		{name: "the other path is dark, and a box refuses joins", first: &silent, refused: []string{"lte0"}},
		{name: "the other path is dark, and others join", first: &silent, refused: []string{"lte0"}, others: true, ended: true},
		{name: "none is left, and one path has not been asked", refused: []string{"lte0"}},
		{name: "none is left, and all paths refuse", refused: []string{"lte0", "dsl0"}, ended: true},
		{name: "none is left", refused: nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			c, r := b.steered(t, mode.Handover)
			b.pass(t, 5*time.Second)
			end := &endable{fakeReader: r}
			c.reg.Reader = end
			r.reading = Reading{}
			if tt.first != nil {
				r.reading = Reading{Subflows: []SubflowReading{{Local: first10, Remote: server, TCP: *tt.first}}}
			}
			c.update(r.reading, b.pathOf, b.now)
			for _, path := range tt.refused {
				c.doubt(b.now)
				c.refusedAgain(path, time.Time{}, b.now)
				if tt.others {
					c.refusedAgain(path, b.now.Add(1), b.now.Add(2))
				}
			}
			if got := b.endDead(c, b.now); got != tt.ended || end.ended != tt.ended || (b.conns[testToken] == nil) != tt.ended {
				t.Errorf("ended %v, the connection %v; want %v", got, end.ended, tt.ended)
			}
		})
	}
}
