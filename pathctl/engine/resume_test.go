package engine

import (
	"testing"
	"time"

	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

// TestWokeClearsBackOffs: what was held against paths and subflows is forgotten,
// and every connection is looked at.
func TestWokeClearsBackOffs(t *testing.T) {
	b := newBench(t, policy.Client)
	c, reader := b.steered(t, mode.Aggregate)
	b.pass(t, 0)
	b.pathFailed("lte0", pathstate.Dark, "test", b.now, b.now)
	c.memory.Notes = []policy.Note{{Path: "lte0", Until: time.Hour}}
	if b.stateOf("lte0").Retry(b.now) == 0 || !b.avoids("lte0") {
		t.Fatal("no back-off to clear")
	}
	before := reader.reads
	b.woke(time.Hour)(b.now)
	if r := b.stateOf("lte0").Retry(b.now); r != 0 {
		t.Errorf("lte0 is left alone for %v", r)
	}
	if b.avoids("lte0") || len(c.memory.Notes) != 0 {
		t.Errorf("still held against paths: %+v, %v", b.PathState("lte0"), c.memory.Notes)
	}
	b.pass(t, 0)
	if reader.reads != before+1 {
		t.Errorf("%d looks at the connection, want 1", reader.reads-before)
	}
}
