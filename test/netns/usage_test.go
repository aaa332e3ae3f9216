package netns

import (
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	ctx := testContext(t)
	h := newHost(t, HostConfig{})
	p, err := h.Start(ctx, Spec{Path: "cat", Stdin: neverEnding{}})
	if err != nil {
		t.Fatal(err)
	}
	for { // until a clock tick has been used
		u, err := p.Usage()
		if err != nil {
			t.Fatal(err)
		}
		if u.CPU() > 0 {
			if u.Resident == 0 || u.MaxResident < u.Resident || u.Descriptors < 3 || u.Threads != 1 {
				t.Errorf("usage %+v", u)
			}
			break
		}
		if ctx.Err() != nil {
			t.Fatal("cat uses no CPU time")
		}
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Usage(); err == nil {
		t.Error("usage of a process that ended: no error")
	}
}

func TestParseStat(t *testing.T) {
	var u Usage
	err := u.parseStat("42 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0")
	if err != nil || u.User != 2500*time.Millisecond || u.System != 500*time.Millisecond {
		t.Errorf("%+v, %v", u, err)
	}
	if u.parseStat("42 (a) S 1") == nil {
		t.Error("a short line was accepted")
	}
}

// neverEnding is an endless input.
type neverEnding struct{}

func (neverEnding) Read(b []byte) (int, error) { return len(b), nil }
