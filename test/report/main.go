// Command report shows what `go test -json` writes as go test does without
// -json, and behind it which tests were left out, and why, which go test keeps
// to itself:
//
//	go test -json ./... | go run ./test/report
//
// Its status is 1 when a package has failed or nothing was tested.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	ok, err := show(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// event is what go test -json writes in each line; see `go doc test2json`.
type event struct {
	Action, Package, Test, Output string
}

// report is what is known so far.
type report struct {
	out     io.Writer
	running map[string][]event        // of packages that have not ended
	skipped map[string]map[string]int // reason → package → tests
	ended   int                       // packages
	failed  bool
}

// show says whether all is well.
func show(in io.Reader, out io.Writer) (ok bool, err error) {
	r := report{out: out, running: map[string][]event{}, skipped: map[string]map[string]int{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Fprintf(out, "%s", line) // of the go command itself
			} else {
				r.add(e)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return false, err
		}
	}
	r.sayLeftOut()
	return r.ended > 0 && !r.failed && len(r.running) == 0, nil
}

func (r *report) add(e event) {
	switch {
	case e.Action == "build-output":
		fmt.Fprint(r.out, e.Output)
	case e.Action == "build-fail":
		r.failed = true
	case e.Package == "":
	case e.Test == "" && (e.Action == "pass" || e.Action == "skip" || e.Action == "fail"):
		r.end(e)
	default:
		r.running[e.Package] = append(r.running[e.Package], e)
	}
}

// end shows a package: one line when it has passed, otherwise all that it and
// its failed tests said.
func (r *report) end(e event) {
	events := r.running[e.Package]
	delete(r.running, e.Package)
	r.ended++
	if e.Action == "fail" {
		r.failed = true
	}
	failed := map[string]bool{}
	for _, t := range events {
		switch t.Action {
		case "fail":
			failed[t.Test] = true
		case "skip":
			r.skip(e.Package, t.Test, events)
		}
	}
	for _, o := range events {
		verdict := o.Test == "" && (strings.HasPrefix(o.Output, "ok  \t") || strings.HasPrefix(o.Output, "?   \t"))
		said := e.Action == "fail" && (o.Test == "" || failed[o.Test]) && !strings.HasPrefix(o.Output, "=== ")
		if verdict || said {
			fmt.Fprint(r.out, o.Output)
		}
	}
}

// skip keeps the reason that a test gave.
func (r *report) skip(pkg, test string, events []event) {
	var why []string
	for _, o := range events {
		text := strings.TrimSpace(o.Output)
		if o.Test != test || text == "" || strings.HasPrefix(text, "=== ") || strings.HasPrefix(text, "--- ") {
			continue
		}
		if place, rest, ok := strings.Cut(text, ": "); ok && strings.Contains(place, ".go:") {
			text = rest
		}
		why = append(why, text)
	}
	reason := strings.Join(why, " ")
	if r.skipped[reason] == nil {
		r.skipped[reason] = map[string]int{}
	}
	r.skipped[reason][pkg]++
}

func (r *report) sayLeftOut() {
	for _, reason := range slices.Sorted(maps.Keys(r.skipped)) {
		n := 0
		for _, tests := range r.skipped[reason] {
			n += tests
		}
		fmt.Fprintf(r.out, "left out, %d tests of %s: %s\n", n, strings.Join(slices.Sorted(maps.Keys(r.skipped[reason])), ", "), reason)
	}
}
