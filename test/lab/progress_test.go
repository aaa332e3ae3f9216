package main

import (
	"bytes"
	"testing"
	"time"
)

func TestProgressTimeLeft(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	two := []experiment{{name: "a", takes: time.Minute}, {name: "b", takes: 2 * time.Minute}}
	p := newProgress(&out, two)
	p.now = func() time.Time { return now }
	p.begin(two[0])
	p.jobs(4)
	now = now.Add(20 * time.Second)
	p.done()
	// A quarter took 20 s: a minute is left of this one, two of the next.
	if got := p.remaining(now); got != 3*time.Minute {
		t.Errorf("%v left, want 3m", got)
	}
}
