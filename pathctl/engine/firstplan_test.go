package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/pathstate"
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

// learnFar has a connection find that lte0 is of no use beside dsl0.
func (b *bench) learnFar() {
	conn := policy.Conn{Role: policy.Client, Mode: policy.Aggregate, Params: policy.DefaultParams(policy.Aggregate), Age: 10 * time.Second}
	note := policy.Note{Path: "lte0", Far: "dsl0", Failures: 1, Until: 30 * time.Second}
	b.learn(conn, policy.Memory{}, policy.Memory{Notes: []policy.Note{note}}, b.now)
}

// TestFirstPlanWithLessons: a plan that heeds what earlier connections have learned
// serves others, too.
func TestFirstPlanWithLessons(t *testing.T) {
	b := newBench(t, policy.Client)
	var seen looks
	b.recorder = &seen
	b.learnFar()
	aggregate := registration(&fakeReader{reading: onFirst()}, policy.Aggregate)
	for token := range uapi.Token(3) {
		if did := b.another(t, token+1, aggregate); len(did) != 1 || !asBackup(did) {
			t.Errorf("connection %d asked for %q, want a backup", token+1, did)
		}
	}
	if len(seen) != 3 || &seen[0].Paths[0] != &seen[2].Paths[0] {
		t.Errorf("%d looks were recorded, want three of the same plan", len(seen))
	}
}

func asBackup(did []string) bool {
	return slices.ContainsFunc(did, func(s string) bool { return strings.Contains(s, "[backup]") })
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
		backup bool // the subflow is a backup
	}{
		{"alike", aggregate, func(*bench) {}, true, true, false},
		{"later", aggregate, func(b *bench) { b.now = b.now.Add(firstPlanKept) }, true, false, false},
		{"another mode", single, func(*bench) {}, false, false, false},
		{"other paths", onlyFirst, func(*bench) {}, false, false, false},
		{"a path is gone", aggregate, func(b *bench) {
			down := twoPaths()
			down[1].State = netpath.Down
			b.setPaths(down)(b.now)
		}, false, false, false},
		{"a path is known to be too far", aggregate, func(b *bench) { b.learnFar() }, true, false, true},
		{"a path has failed", aggregate, func(b *bench) { b.pathFailed("lte0", pathstate.Dark, "test", b.now, b.now) }, false, false, false},
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
			if asBackup(did) != tt.backup {
				t.Errorf("asked for %q, as a backup wanted: %t", did, tt.backup)
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
