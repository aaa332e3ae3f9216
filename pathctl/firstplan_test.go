package pathctl

import (
	"slices"
	"strings"
	"testing"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/policy"
)

// looks keeps what is recorded.
type looks []Look

func (l *looks) Looked(look Look) { *l = append(*l, look) }
func (*looks) Told(Decision)      {}

// another begins a connection on dsl0 and returns what was asked of the kernel for it.
func (b *bench) another(t *testing.T, token uapi.Token, reg Registration) []string {
	t.Helper()
	b.kernel.take()
	reg.Token = token
	b.register(reg)(b.now)
	ev := mptcppm.Event{Kind: mptcppm.EventEstablished, Token: token, Local: mapped10, Remote: far10}
	b.onEvent(t.Context(), ev, b.now)
	return b.kernel.take()
}

// TestFirstPlanServesOthers begins several connections, each of which is to have its
// second subflow at once, and the plan of its own that it should have.
func TestFirstPlanServesOthers(t *testing.T) {
	aggregate := registration(&fakeReader{reading: onFirst()}, policy.Aggregate)
	single := registration(&fakeReader{reading: onFirst()}, policy.Single)
	onlyFirst := aggregate
	onlyFirst.Paths = []string{"dsl0"}
	for _, tt := range []struct {
		name   string
		reg    Registration
		change func(*bench)
		second bool // a subflow on lte0 is asked for
		shared bool // the plan was there already
	}{
		{"alike", aggregate, func(*bench) {}, true, true},
		{"later", aggregate, func(b *bench) { b.now = b.now.Add(firstPlanKept) }, true, false},
		{"another mode", single, func(*bench) {}, false, false},
		{"other paths", onlyFirst, func(*bench) {}, false, false},
		{"a path is gone", aggregate, func(b *bench) {
			down := twoPaths()
			down[1].State = netpath.Down
			b.setPaths(down)(b.now)
		}, false, false},
		{"a path has failed", aggregate, func(b *bench) { b.pathFailed("lte0", failedTimeout, b.now, b.now) }, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			var seen looks
			b.recorder = &seen
			if did := b.another(t, 1, aggregate); len(did) != 1 {
				t.Fatalf("the first connection asked for %q", did)
			}
			tt.change(b)
			did := b.another(t, 2, tt.reg)
			if got := slices.ContainsFunc(did, func(s string) bool { return strings.HasPrefix(s, "create 2:") }); got != tt.second || len(did) > 1 {
				t.Errorf("asked for %q, second subflow wanted: %t", did, tt.second)
			}
			if len(seen) != 2 {
				t.Fatalf("%d looks were recorded, want one for each connection", len(seen))
			}
			if seen[1].Token != 2 || !seen[1].When.Equal(b.now) {
				t.Errorf("recorded for connection %d at %v, want 2 at %v", seen[1].Token, seen[1].When, b.now)
			}
			plan, _ := policy.Decide(seen[1].Conn, seen[1].Paths, seen[1].Memory)
			if len(plan.Create) != len(seen[1].Plan.Create) {
				t.Errorf("what was recorded gives %+v when decided again, not %+v", plan, seen[1].Plan)
			}
			if got := &seen[0].Paths[0] == &seen[1].Paths[0]; got != tt.shared {
				t.Errorf("plan shared: %t, want %t", got, tt.shared)
			}
		})
	}
}
