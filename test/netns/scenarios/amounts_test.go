package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/internal/status"
	"mpproxy/test/netns"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// TestSecondSubflowByAmount: lazy makes a second subflow for a fetch that is
// long, and for no other; single for none.
func TestSecondSubflowByAmount(t *testing.T) {
	for _, tt := range []struct {
		mode   string
		size   int64
		second bool
	}{
		{"lazy", 200_000, false},
		{"lazy", 20_000_000, true},
		{"single", 200_000, false},
		{"single", 20_000_000, false},
	} {
		t.Run(fmt.Sprintf("%s, %d bytes", tt.mode, tt.size), func(t *testing.T) {
			cfg := steered(families(rig.DSLAndLTE(), []bool{true, true}, []bool{false, false}), fmt.Sprintf("mode = %q", tt.mode))
			cfg.Prepare = withoutIPv6
			r := start(t, cfg)
			before := onLTE(r)
			startDownload(t, r, newGate(t), tt.size).finish(t)
			const neighbours = 300 // what hosts say to find each other; data would be far more
			if got := onLTE(r) - before; got > neighbours != tt.second {
				t.Errorf("%d bytes on lte0: want a second subflow: %t", got, tt.second)
			}
			if got := strings.Contains(eventsOf(t, r), "create lte0"); got != tt.second {
				t.Errorf("lte0 in the decisions: %t, want %t:\n%s", got, tt.second, eventsOf(t, r))
			}
		})
	}
}

// onLTE is what both ends have given to the second link, in bytes.
func onLTE(r *rig.Rig) uint64 {
	return r.Links[1].Counters(netns.Upstream).OfferedBytes + r.Links[1].Counters(netns.Downstream).OfferedBytes
}

// eventsOf returns what `events` prints.
func eventsOf(t *testing.T, r *rig.Rig) string {
	t.Helper()
	out, err := r.Client.Command(t.Context(), r.ClientBinary(), "events", "--config", r.ClientConfig()).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestMeteredStandbyStaysSilent: in a minute of bulk traffic each way not one
// packet is sent over a metered standby of handover, at either end.
func TestMeteredStandbyStaysSilent(t *testing.T) {
	length := time.Minute
	if testing.Short() {
		length = 5 * time.Second
	}
	for _, upload := range []bool{false, true} {
		t.Run(fmt.Sprintf("upload %t", upload), func(t *testing.T) {
			t.Parallel()
			cfg := steered(families(rig.Pair(5, 10, 5, 10), []bool{true, true}, []bool{false, false}), `mode = "handover"`)
			cfg.ClientArgs = []string{"--path", "dsl0", "--path", "lte0:metered"}
			cfg.Prepare = withoutIPv6 // its neighbour and group messages are not ours
			r := start(t, cfg)
			run, err := measure.Bulk{Mode: "handover", Upload: upload, For: length}.Run(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if got := run.Arrivals.Goodput(0, length); got < 1e6 {
				t.Errorf("goodput %.0f bit/s: the transfer says nothing", got)
			}
			first, last := run.Samples[0], run.Samples[len(run.Samples)-1]
			up, down := last.Up[1].Offered-first.Up[1].Offered, last.Down[1].Offered-first.Down[1].Offered
			if up+down != 0 {
				t.Errorf("%d packets from the client and %d to it on the standby while the first path is well:\n%s", up, down, eventsOf(t, r))
				for i, s := range run.Samples[1:] {
					if s.Up[1].Offered != run.Samples[i].Up[1].Offered || s.Down[1].Offered != run.Samples[i].Down[1].Offered {
						t.Logf("at %s: %v, %v", s.At, s.Up[1], s.Down[1])
					}
				}
			}
			if st := statusOf(t, r); !slices.ContainsFunc(st.Paths, func(p status.Path) bool { return p.Name == "lte0" && p.Metered && p.State == "up" }) {
				t.Errorf("lte0 is no metered path that is up: %+v", st.Paths)
			}
		})
	}
}

func withoutIPv6(ctx context.Context, topo *netns.Topology) error {
	var errs []error
	for _, h := range []*netns.Host{topo.Client, topo.Concentrator} {
		errs = append(errs, h.SetSysctl(ctx, "net.ipv6.conf.all.disable_ipv6", "1"))
	}
	return errors.Join(errs...)
}
