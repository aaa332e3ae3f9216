package engine

import (
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
	"mpproxy/pathctl/reason"
)

// notebook remembers everything.
type notebook struct {
	looks []Look
	told  []Decision
}

func (n *notebook) Looked(l Look)   { n.looks = append(n.looks, l) }
func (n *notebook) Told(d Decision) { n.told = append(n.told, d) }

// TestRecorder: what is recorded of a connection is enough to decide the same
// again, and each decision is recorded once.
func TestRecorder(t *testing.T) {
	b := newBench(t, policy.Client)
	var notes notebook
	b.recorder = &notes
	c, r := b.steered(t, mode.Aggregate)
	b.withSecond(t, c, r)
	b.event(t, mptcppm.Event{Kind: mptcppm.EventSubflowClosed, Local: second, Remote: server, Errno: 110})
	b.pass(t, lookIdle)

	var memory policy.Memory
	var recorded []Decision
	for i, l := range notes.looks {
		if l.Number != uint64(i+1) || l.Token != testToken || l.Destination != "somewhere" || l.Mode != "aggregate" {
			t.Errorf("look %d: %+v", i, l)
		}
		if diff := cmp.Diff(memory, l.Memory); diff != "" {
			t.Errorf("memory of look %d:\n%s", i, diff)
		}
		var plan policy.Plan
		plan, memory = policy.Decide(l.Conn, l.Paths, memory)
		if diff := cmp.Diff(l.Plan, plan); diff != "" {
			t.Errorf("plan of look %d:\n%s", i, diff)
		}
		if n := len(Changes(l.Conn, plan)); n != len(l.Outcomes) {
			t.Errorf("look %d: %d changes, %d outcomes", i, n, len(l.Outcomes))
		}
		for _, o := range l.Outcomes {
			if o != nil {
				recorded = append(recorded, *o)
			}
		}
	}
	if len(notes.looks) < 2 || len(recorded) == 0 || len(notes.told) == 0 {
		t.Fatalf("%d looks, %d decisions of plans, %d others", len(notes.looks), len(recorded), len(notes.told))
	}
	if all, _, _ := b.decisions.since(0); len(all) != len(recorded)+len(notes.told) {
		t.Errorf("%d decisions were made, %d recorded", len(all), len(recorded)+len(notes.told))
	}
}

func TestOutcomes(t *testing.T) {
	b := newBench(t, policy.Client)
	c, _ := b.steered(t, mode.Aggregate)
	b.kernel.errs["create"] = mptcppm.ErrInvalid
	got := b.reconcile(t.Context(), c, policy.Plan{
		Create: []policy.Create{{Path: "lte0", Reason: reason.Reason{Text: "a"}}, {Path: "no such path"}},
		Keep:   []policy.Keep{{ID: 1, Backup: true, Reason: reason.Reason{Text: "b"}}},
	}, b.now)
	if len(got) != 3 || got[0] == nil || got[1] != nil || got[2] == nil {
		t.Fatalf("outcomes: %v", got)
	}
	if got[0].Action != ActionFailed || got[0].Reason != ReasonReset || got[2].Action != ActionBackup || got[2].Why != "b" {
		t.Errorf("outcomes: %+v, %+v", *got[0], *got[2])
	}
}

func TestSnapshot(t *testing.T) {
	b := newBench(t, policy.Client)
	c, r := b.steered(t, mode.Aggregate)
	b.withSecond(t, c, r)
	b.stateOf("dsl0").RTT.Sample(30*time.Millisecond, b.now)
	f := c.byID(2)
	f.backup = true
	b.pathFailed("lte0", pathstate.Dark, "test", b.now, b.now)
	b.onEvent(t.Context(), mptcppm.Event{Kind: mptcppm.EventCreated, Token: uapi.Token(77), Local: mapped10, Remote: far10}, b.now)
	b.pass(t, 0)
	got := b.snapshot(b.now)
	if got.Looks == 0 || got.Decisions[DecisionKind{"aggregate", ActionCreate, ReasonMode}] != 1 {
		t.Errorf("%d looks, decisions %v", got.Looks, got.Decisions)
	}
	got.Looks, got.LookTime, got.Decisions = 0, 0, nil
	want := Snapshot{
		Subflows:    map[SubflowKind]int{{"dsl0", false}: 1, {"lte0", true}: 1},
		Connections: 1, Others: 1,
	}
	dsl, lte := got.Paths["dsl0"], got.Paths["lte0"]
	if dsl.RTT.Smoothed != 30*time.Millisecond || dsl.Avoid(b.now) || lte.RTT.Smoothed != 0 || !lte.Avoid(b.now) || len(got.Paths) != 2 {
		t.Errorf("paths: %+v", got.Paths)
	}
	got.Paths = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestReasonsAreComplete: what is not listed would be counted as "other", and
// what is not documented is a riddle.
func TestReasonsAreComplete(t *testing.T) {
	doc, err := os.ReadFile("../../docs/observing.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range Reasons() {
		if !regexp.MustCompile(`[:, \n]` + string(r) + `[,.]`).Match(doc) {
			t.Errorf("docs/observing.md does not name the reason %q", r)
		}
	}
	known := map[Reason]bool{}
	for _, r := range Reasons() {
		known[r] = true
	}
	for _, k := range pathstate.Kinds() {
		if !known[reasonOf(k)] {
			t.Errorf("%v has the reason %q, which is not listed", k, reasonOf(k))
		}
	}
}
