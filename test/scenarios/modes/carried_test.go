package modes

import (
	"fmt"
	"testing"
	"time"

	"mpproxy/internal/status"
	"mpproxy/test/netns"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// carriage is what a mode makes of two paths that are well.
type carriage struct {
	mode   string
	shared bool // both carry
	second bool // the farther one has a subflow
}

// TestCarriedByMode: in each mode a path carries what docs/kernels.md says, whichever
// way the data goes, and status says of the farther path's subflow what is so. On a
// machine so busy that the links stood still the paths were not well, and that run
// says nothing.
func TestCarriedByMode(t *testing.T) {
	const attempts, still = 4, 50 * time.Millisecond
	for _, tt := range []carriage{
		{"aggregate", true, true},
		{"handover", false, true},
		{"interactive", false, true},
		{"backup", false, true},
		{"single", false, false},
	} {
		for _, upload := range []bool{false, true} {
			direction := map[bool]string{false: "download", true: "upload"}[upload]
			t.Run(tt.mode+", "+direction, func(t *testing.T) {
				for range attempts {
					late := measure.WatchLateness()
					dsl, lte, wrong := tt.try(t, upload)
					if l := late(); wrong != "" && l.Worst >= still {
						t.Logf("%s, while the machine stood still for %v", wrong, l.Worst)
						continue
					}
					t.Logf("\nKERNEL %s, %s: dsl0 %d KB, lte0 %d KB", tt.mode, direction, dsl>>10, lte>>10)
					if wrong != "" {
						t.Fatal(wrong)
					}
					return
				}
				t.Skip("this machine is too busy to emulate paths that are well")
			})
		}
	}
}

// try transfers, and returns the bytes of the data that both links delivered, and
// what was not as the mode wants it.
func (tt carriage) try(t *testing.T, upload bool) (dsl, lte uint64, wrong string) {
	const length = 6 * time.Second
	links := rig.Pair(6, 5, 3, 40)
	for i := range links {
		links[i].Queue = 24_000 // a full one leaves the first path the nearer one, for interactive
	}
	cfg := scene.Steered(scene.Families(links, []bool{true, true}, []bool{false, false}), fmt.Sprintf("mode = %q", tt.mode))
	cfg.Prepare = measure.WithoutIPv6
	r := scene.Start(t, cfg)
	var flows []status.Subflow
	look := measure.Step{At: length / 2, Do: func(r *rig.Rig) error {
		st, err := r.Status(t.Context())
		for _, c := range st.Connections {
			flows = append(flows, c.Subflows...)
		}
		return err
	}}
	before := delivered(r, upload)
	_, err := measure.Bulk{Mode: tt.mode, Upload: upload, For: length, Script: []measure.Step{look}}.Run(t.Context(), r)
	after := delivered(r, upload)
	dsl, lte = after[0]-before[0], after[1]-before[1]
	if err != nil {
		return dsl, lte, err.Error()
	}
	return dsl, lte, tt.wrong(dsl, lte, flows)
}

// wrong compares. What is sent before the farther path's subflow is known to be a
// standby, and the handshake, is far less than a tenth; a path in use carries a third.
func (tt carriage) wrong(dsl, lte uint64, flows []status.Subflow) string {
	want := ""
	if tt.second {
		want = fmt.Sprintf("lte0 backup=%t", !tt.shared)
	}
	switch shared, got := lte > dsl/10, second(flows); {
	case shared != tt.shared:
		return fmt.Sprintf("the farther path is in use: %t, want %t: %d of %d bytes; %+v", shared, tt.shared, lte, dsl, flows)
	case got != want:
		return fmt.Sprintf("status shows of the farther path %q, want %q: %+v", got, want, flows)
	}
	return ""
}

// delivered counts what each link has delivered in one direction.
func delivered(r *rig.Rig, upload bool) (n []uint64) {
	direction := netns.Downstream
	if upload {
		direction = netns.Upstream
	}
	for _, l := range r.Links {
		n = append(n, l.Counters(direction).DeliveredBytes)
	}
	return n
}

// second says what status shows of the farther path's subflow.
func second(flows []status.Subflow) string {
	for _, f := range flows {
		if f.Path == "lte0" {
			return fmt.Sprintf("lte0 backup=%t", f.Backup)
		}
	}
	return ""
}
