package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// A result is what became of a check on a kernel.
type result struct {
	check                  string
	failed                 bool // as the test binary's status says
	begun                  time.Time
	took                   time.Duration
	passes, skips, faults  int
	skipped, failing, said []string
}

// verdict is what go test writes of each test.
var verdict = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+)`)

// add takes a line of the output.
func (r *result) add(line string) {
	m := verdict.FindStringSubmatch(line)
	switch {
	case m == nil:
		if strings.HasPrefix(strings.TrimSpace(line), "KERNEL ") {
			r.said = append(r.said, strings.TrimPrefix(strings.TrimSpace(line), "KERNEL "))
		}
	case m[1] == "PASS":
		r.passes++
	case m[1] == "SKIP":
		r.skips++
		r.skipped = append(r.skipped, m[2])
	default:
		r.faults++
		r.failing = append(r.failing, m[2])
	}
}

// String is the cell of the table.
func (r result) String() string {
	s := fmt.Sprintf("%d ok", r.passes)
	if r.skips > 0 {
		s += fmt.Sprintf(", %d skipped", r.skips)
	}
	switch {
	case r.faults > 0:
		s = fmt.Sprintf("%d FAILED, %s", r.faults, s)
	case r.failed:
		s = "FAILED, " + s
	case r.passes == 0:
		s = "FAILED: nothing ran"
	}
	return s
}

// ok says whether the kernel passes.
func (r result) ok() bool { return !r.failed && r.faults == 0 && r.passes > 0 }
