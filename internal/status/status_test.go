package status

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestWithRates(t *testing.T) {
	at := time.Unix(1000, 0)
	path := func(iface string, received, sent uint64) Path {
		return Path{Name: iface, Interface: iface, ReceivedBytes: received, SentBytes: sent}
	}
	rated := func(p Path, receive, send uint64) Path {
		p.ReceiveRate, p.SendRate = receive, send
		return p
	}
	for _, tt := range []struct {
		name          string
		interval      time.Duration
		before, after []Path
		want          []Path
	}{
		{
			"two paths", 2 * time.Second,
			[]Path{path("a", 1000, 0), path("b", 0, 500)},
			[]Path{path("a", 2000, 10), path("b", 0, 1000)},
			[]Path{rated(path("a", 2000, 10), 4000, 40), rated(path("b", 0, 1000), 0, 2000)},
		},
		{
			"half a second", 500 * time.Millisecond,
			[]Path{path("a", 0, 0)},
			[]Path{path("a", 1000, 0)},
			[]Path{rated(path("a", 1000, 0), 16000, 0)},
		},
		{
			"in another order", time.Second,
			[]Path{path("b", 10, 0), path("a", 20, 0)},
			[]Path{path("a", 21, 0), path("b", 12, 0)},
			[]Path{rated(path("a", 21, 0), 8, 0), rated(path("b", 12, 0), 16, 0)},
		},
		{
			"counters that started anew", time.Second,
			[]Path{path("a", 5000, 100)},
			[]Path{path("a", 1000, 200)},
			[]Path{rated(path("a", 1000, 200), 8000, 800)},
		},
		{
			"new path", time.Second,
			[]Path{path("a", 5000, 0)},
			[]Path{path("b", 1000, 0)},
			[]Path{path("b", 1000, 0)},
		},
		{"path that went", time.Second, []Path{path("a", 1, 1)}, nil, nil},
		{"no time has passed", 0, []Path{path("a", 1, 1)}, []Path{path("a", 2, 2)}, []Path{path("a", 2, 2)}},
		{"clock that ran backwards", -time.Second, []Path{path("a", 1, 1)}, []Path{path("a", 2, 2)}, []Path{path("a", 2, 2)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			after := Status{Taken: at.Add(tt.interval), Paths: tt.after}
			kept := append([]Path(nil), tt.after...)
			got := after.WithRates(Status{Taken: at, Paths: tt.before})
			if diff := cmp.Diff(tt.want, got.Paths); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(kept, tt.after); diff != "" {
				t.Errorf("WithRates changed its receiver's paths (-was +is):\n%s", diff)
			}
		})
	}
}

// TestJSONRoundTrip: what `status --json` prints can be read into the same
// values.
func TestJSONRoundTrip(t *testing.T) {
	for name, st := range samples() {
		b, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		var got Status
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(st, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestJSONNames: scripts depend on them.
func TestJSONNames(t *testing.T) {
	b, err := json.MarshalIndent(samples()["working"], "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "working.json", string(b)+"\n")
}
