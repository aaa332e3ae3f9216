package status

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestSubflowRates(t *testing.T) {
	end := netip.MustParseAddrPort
	sub := func(port string, sent, received, again uint64) Subflow {
		return Subflow{Local: end("192.0.2.1:" + port), Remote: end("203.0.113.1:443"), SentBytes: sent, ReceivedBytes: received, Retransmitted: again}
	}
	at := time.Unix(1000, 0)
	before := Status{Taken: at, Connections: []Connection{
		{ID: 1, Subflows: []Subflow{sub("1", 1000, 0, 0), sub("2", 5000, 10, 100)}},
		{ID: 2, Subflows: []Subflow{sub("3", 1, 1, 1)}},
	}}
	now := Status{Taken: at.Add(2 * time.Second), Connections: []Connection{
		{ID: 1, Subflows: []Subflow{sub("2", 6000, 10, 350), sub("4", 0, 500, 0)}},
		{ID: 3, Subflows: []Subflow{sub("1", 9000, 9000, 0)}}, // with the ends of one that is gone
	}}
	type rates struct {
		Send, Receive uint64
		Loss          float64
	}
	var got []rates
	for _, c := range now.WithRates(before).Connections {
		for _, f := range c.Subflows {
			got = append(got, rates{f.SendRate, f.ReceiveRate, f.LossRatio})
		}
	}
	want := []rates{{4000, 0, 0.25}, {0, 2000, 0}, {}}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Error(diff)
	}
	if now.Connections[0].Subflows[0].SendRate != 0 {
		t.Error("WithRates changed its receiver")
	}
}

func TestWithoutPeople(t *testing.T) {
	for name, st := range samples() {
		kept := len(st.Connections)
		clean := st.WithoutPeople()
		for i, c := range clean.Connections {
			if c.Destination+c.User+c.Peer+c.Rule != "" || c.Mode != st.Connections[i].Mode {
				t.Errorf("%s: %+v", name, c)
			}
		}
		if clean.Server.User != "" || len(clean.Connections) != kept {
			t.Errorf("%s: %+v", name, clean)
		}
	}
}
