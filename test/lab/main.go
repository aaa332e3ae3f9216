// Command lab is the laboratory: it repeats the experiments on which this
// design rests (SMAPP, CoNEXT'15, section 4; the kernel's simult_flows; pairs of
// links that harm each other) with the built programs over emulated links, the
// stock kernel's path manager and ours side by side in one run.
//
//	go run ./test/lab                  all experiments
//	go run ./test/lab -exp streaming   one of them
//	go run ./test/lab -runs 2          fewer runs, to try it out
//
// Plots go to docs/lab/*.svg, the table with both columns to docs/lab.md, samples
// to lab-samples/*.csv, which is not in the repository. Progress is shown on standard error. It needs root or
// a user namespace and touches nothing outside of the namespaces that it makes.
package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"mpproxy/test/netns/rig"
)

func main() {
	var o options
	flag.StringVar(&o.only, "exp", "", "experiments, separated by commas (default: all): "+strings.Join(names(), ", "))
	flag.IntVar(&o.runs, "runs", 0, "runs of each case; 0 is each experiment's own number, 10 or more")
	flag.StringVar(&o.out, "out", committed, "directory of lab.md and of lab/ with plots and summary.csv")
	flag.StringVar(&o.samples, "samples", "lab-samples", "directory of the samples, as CSV")
	flag.StringVar(&o.filter, "case", "", "only cases whose name contains one of these, separated by '|'; nothing is written to docs then")
	flag.BoolVar(&o.verbose, "v", false, "show the output of the programs")
	role := flag.Bool("role", false, "play a role of the load (internal)")
	flag.Parse()
	if *role {
		rig.Exit("lab", play(flag.Args()))
	}
	rig.Main("lab", func(ctx context.Context, programs string) error {
		o.bin = programs
		return run(ctx, o)
	})
}

// Load that must not share a process with the laboratory runs as one of its
// own: the program starts itself in a role.
var roles = map[string]func(args []string) error{
	"spin": spinRole,
}

func play(args []string) error {
	if len(args) == 0 || roles[args[0]] == nil {
		return fmt.Errorf("no such role: %q", args)
	}
	return roles[args[0]](args[1:])
}
