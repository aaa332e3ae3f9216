package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A table has a line for each check and a column for each kernel.
type table struct {
	checks  []check
	columns []column
}

// A column is what became of the checks on one kernel.
type column struct {
	series, release string
	results         []result
	err             error // the guest did not come to its end
}

// sayFailures names the tests that failed, and what tests have to say of the kernel.
func (c column) sayFailures(out io.Writer) {
	if c.err != nil {
		fmt.Fprintf(out, "Linux %s: %v\n", c.series, c.err)
	}
	for _, r := range c.results {
		fmt.Fprintf(out, "Linux %s, %s: %s (%v)\n", c.release, r.check, r, r.took.Round(time.Second))
		if len(r.failing) > 0 {
			fmt.Fprintf(out, "\tfailed: %s\n", strings.Join(r.failing, ", "))
		}
		if len(r.skipped) > 0 {
			fmt.Fprintf(out, "\tskipped: %s\n", strings.Join(r.skipped, ", "))
		}
		for _, s := range r.said {
			fmt.Fprintf(out, "\t%s\n", s)
		}
	}
}

// print writes the table and says whether all is well.
func (t table) print(out io.Writer) bool {
	ok := true
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "check")
	for _, c := range t.columns {
		fmt.Fprintf(w, "\t%s", cmp.Or(c.release, c.series))
	}
	fmt.Fprintln(w)
	for _, k := range t.checks {
		fmt.Fprint(w, k.pkg)
		for _, c := range t.columns {
			i := slices.IndexFunc(c.results, func(r result) bool { return r.check == k.pkg })
			if i < 0 {
				fmt.Fprint(w, "\tFAILED: did not run")
				ok = false
				continue
			}
			fmt.Fprintf(w, "\t%v", c.results[i])
			ok = ok && c.results[i].ok() && c.err == nil
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	return ok
}
