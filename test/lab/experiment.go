package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"mpproxy/test/lab/publish"
	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

// experiment is one part of the laboratory.
type experiment struct {
	name  string // for -exp, and of its files
	title string
	// takes is about how long it lasts on two cores.
	takes time.Duration
	run   func(context.Context, *lab) (result, error)
}

func experiments() []experiment {
	return []experiment{
		longlivedExperiment, backupExperiment, streamingExperiment, balanceExperiment, simultExperiment, pairsExperiment, costExperiment, modesExperiment,
	}
}

func names() []string {
	var all []string
	for _, e := range experiments() {
		all = append(all, e.name)
	}
	return all
}

// result is what an experiment has found.
type result struct {
	rows    []publish.Row
	figures []publish.Figure
	samples []publish.Sheet
}

// options are the command line.
type options struct {
	bin, out, samples, only, filter string
	runs                            int
	verbose                         bool
}

// lab is what experiments work with.
type lab struct {
	options
	progress *progress
	name     string // of the experiment at work
	rigs     atomic.Int64
}

// rig completes a configuration.
func (l *lab) rig(ctx context.Context, c rig.Config) (*rig.Rig, error) {
	c.Bin = l.bin
	if l.verbose {
		n := l.rigs.Add(1) // several may work side by side
		c.Logf = func(format string, args ...any) {
			fmt.Fprintf(os.Stderr, "#%d %s\n", n, fmt.Sprintf(format, args...))
		}
	}
	r, err := rig.New(ctx, c)
	if err == nil && l.verbose {
		_, err = r.Client.Start(ctx, netns.Spec{Path: r.ClientBinary(), Args: []string{"events", "-f", "--config", r.ClientConfig()}, Name: "decisions"})
	}
	if err == nil && l.verbose {
		_, err = r.Concentrator.Start(ctx, netns.Spec{Path: r.ServerBinary(), Args: []string{"events", "-f", "--config", r.ServerConfig()}, Name: "decisions"})
	}
	return r, err
}

// count is the number of runs of a case: n unless the command line says
// otherwise.
func (l *lab) count(n int) int {
	if l.runs > 0 {
		return l.runs
	}
	return n
}

// wants reports whether a case is to be measured.
func (l *lab) wants(name string) bool {
	for part := range strings.SplitSeq(l.filter, "|") {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

func run(ctx context.Context, o options) error {
	chosen := experiments()
	if o.only != "" {
		wanted := strings.Split(o.only, ",")
		for _, w := range wanted {
			if !slices.Contains(names(), w) {
				return fmt.Errorf("there is no experiment %q: there are %s", w, strings.Join(names(), ", "))
			}
		}
		chosen = slices.DeleteFunc(chosen, func(e experiment) bool { return !slices.Contains(wanted, e.name) })
	}
	l := &lab{options: o, progress: newProgress(os.Stderr, chosen)}
	for _, e := range chosen {
		l.name = e.name
		l.progress.begin(e)
		res, err := e.run(ctx, l)
		l.progress.end()
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		for i := range res.rows {
			res.rows[i].Experiment = e.name
		}
		publish.PrintRows(os.Stdout, e.name, e.title, res.rows)
		if err := o.keep(e.name, res); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return nil
}

// keep writes what an experiment has found: its samples always, its figures and
// rows unless they are those of a part that would go into the documents.
func (o options) keep(name string, res result) error {
	if err := publish.WriteSamples(o.samples, name, res.samples); err != nil {
		return err
	}
	if o.filter != "" && o.out == committed {
		return nil
	}
	return publish.Documents(o.out, name, names(), res.rows, res.figures)
}

// committed is the directory whose files are kept: only whole experiments are
// written there.
const committed = "docs"
