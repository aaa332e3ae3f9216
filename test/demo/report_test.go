//go:build linux

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func measured() report {
	return report{
		links:       []linkFacts{{"DSL", 50e6}, {"LTE", 20e6}},
		both:        outcome{size: 60e6, took: 8 * time.Second, carried: []uint64{45e6, 15e6}},
		alone:       outcome{size: 60e6, took: 12 * time.Second, carried: []uint64{60e6, 0}},
		unplugged:   outcome{size: 30e6, took: 9500 * time.Millisecond, pause: 250 * time.Millisecond, carried: []uint64{10e6, 20e6}},
		unpluggedAt: 10_500_000,
	}
}

func TestReport(t *testing.T) {
	want := []string{
		"Through the proxy 60 MB came in 8.0 s: 60.0 Mbit/s, 91 % of the 66.0 Mbit/s of payload that both links can carry (94.3 % of their 70 Mbit/s; the rest is headers). 75 % came over DSL, 25 % came over LTE.",
		"DSL alone took 12.0 s for them: 40.0 Mbit/s, 61 % of what both links can carry.",
		"The proxy was 1.50 times as fast as DSL alone; with these links 1.40 is all there can be.",
		"DSL was unplugged after 10.5 of 30 MB: the rest came over LTE on the same connection, 9.5 s in all. The application saw no error and no pause longer than 0.25 s.",
		"All three downloads have the SHA-256 of what the destination sent.",
	}
	if diff := cmp.Diff(want, measured().sentences()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestReportOfASlowProxy(t *testing.T) {
	r := measured()
	r.both.took = 24 * time.Second
	if got := r.comparison(); !strings.Contains(got, "not faster than DSL here (0.50 times") {
		t.Errorf("a proxy at half the speed is reported as %q", got)
	}
}

func TestWrap(t *testing.T) {
	long := strings.Repeat("word ", 20)
	for line := range strings.SplitSeq(wrap("  - "+long, 4), "\n") {
		if len(line) > textColumns {
			t.Errorf("%d columns in %q", len(line), line)
		}
	}
	if diff := cmp.Diff("  - one two", wrap("  - one  two ", 4)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	got := strings.Split(wrap("  - "+long, 4), "\n")
	if len(got) != 2 || !strings.HasPrefix(got[1], "    word") {
		t.Errorf("the second line is not indented: %q", got)
	}
}
