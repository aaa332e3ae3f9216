package engine

import (
	"testing"
	"time"

	"mpproxy/pathctl/policy"
)

// TestWokeClearsBackOffs: what was held against paths and subflows is forgotten,
// and every connection is looked at.
func TestWokeClearsBackOffs(t *testing.T) {
	b := newBench(t, policy.Client)
	c, reader := b.steered(t, policy.Aggregate)
	b.pass(t, 0)
	b.pathFailed("lte0", failedTimeout, b.now, b.now)
	c.memory.Notes = []policy.Note{{Path: "lte0", Until: time.Hour}}
	if b.healthOf("lte0").retry(b.now) == 0 || len(*b.troubled.Load()) != 1 {
		t.Fatal("no back-off to clear")
	}
	before := reader.reads
	b.woke(time.Hour)(b.now)
	if r := b.healthOf("lte0").retry(b.now); r != 0 {
		t.Errorf("lte0 is left alone for %v", r)
	}
	if len(*b.troubled.Load()) != 0 || len(c.memory.Notes) != 0 {
		t.Errorf("still held against paths: %v, %v", *b.troubled.Load(), c.memory.Notes)
	}
	b.pass(t, 0)
	if reader.reads != before+1 {
		t.Errorf("%d looks at the connection, want 1", reader.reads-before)
	}
}
