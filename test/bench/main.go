// Command bench measures the whole system with the built binaries and prints
// figures side by side, from one run on one machine:
//
//	links   downloads and uploads over emulated pairs of links, against the sum of both
//	stalls  a hundred fetches of 512 KiB over an unshaped pair
//	speed   goodput and CPU of raw MPTCP and of the proxy with and without TLS, small fetches
//	silence how long nothing arrives when the path in use dies
//	loss    what arrives when a path begins to lose much
//	standby what a metered standby carries while the better path is well
//	jitter  what the controllers do on a path that is shaky and well
//	heal    when the traffic is back on a path that was dark for a while
//	interactive round trips of a conversation
//	three   three paths, one of them bad, against each subset of them
//	many    2,000 connections with little traffic when one of two paths dies
//	idle    memory of idle connections in both programs
//
// It needs root or a user namespace, and touches nothing outside of the
// namespaces that it makes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// section is one part of a run.
type section struct {
	name string
	what string
	run  func(context.Context, options) error
}

var sections = []section{
	{"links", "Transfers of 60 MB through the proxy, against the sum of both links", links},
	{"stalls", "100 sequential fetches of 512 KiB over an unshaped pair of links", stalls},
	{"speed", "Goodput and CPU over an unshaped pair of links", speed},
	{"silence", "Longest silence when the path in use dies (2 × 5 Mbit/s, 10 ms, 60 KB queues)", silence},
	{"loss", "30 % loss from 1 s on, measured from 3 s to 13 s (2 × 5 Mbit/s, 10 ms, 60 KB queues)", loss},
	{"heal", "The path in use is dark from 2 s to 7 s (2 × 5 Mbit/s, 10 ms, 60 KB queues)", heal},
	{"standby", "A minute of bulk traffic beside a metered path (2 × 5 Mbit/s, 10 ms, 60 KB queues)", standby},
	{"jitter", "Nothing happens: 40 ms ± 30 ms and 1 % loss each way beside 80 ms (2 × 5 Mbit/s, 60 KB queues)", jitter},
	{"interactive", "A message of 200 bytes each 100 ms over round trips of 20 and 60 ms (2 × 10 Mbit/s, 500 KB queues)", interactive},
	{"three", "20 Mbit/s 10 ms, 10 Mbit/s 25 ms, and 2 Mbit/s 40 ms with 5 % loss: all against each subset", three},
	{"many", "2,000 connections, 200 bytes and back each second on each; one of two paths dies (2 × 100 Mbit/s, 10 ms)", many},
	{"idle", "9,000 idle connections", idle},
}

// options are what every section needs.
type options struct {
	bin      string
	verbose  bool   // print the decisions of both ends
	output   bool   // show the output of the programs
	rows     string // only rows that contain it
	runs     int    // of each case
	parallel int    // rigs at a time, where the links are slow
	calm     time.Duration
}

func (o options) rig(cfg rig.Config) rig.Config {
	cfg.Bin = o.bin
	if o.output {
		cfg.Logf = func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	}
	return cfg
}

func main() {
	var opt options
	flag.StringVar(&opt.rows, "rows", "", "only rows whose first columns contain this")
	flag.DurationVar(&opt.calm, "calm", 5*time.Minute, "how long section jitter waits for something to happen")
	only := flag.String("only", "", "sections to run, separated by commas (default: all)")
	flag.BoolVar(&opt.verbose, "v", false, "below each row print what both ends decided in its worst run")
	flag.BoolVar(&opt.output, "output", false, "show the output of the programs")
	flag.IntVar(&opt.runs, "runs", 10, "runs of each case of section silence, at most of others")
	flag.IntVar(&opt.parallel, "parallel", 3, "systems to run at a time where links are slow")
	role := flag.Bool("role", false, "play a role of the load (internal)")
	flag.Parse()
	if *role {
		rig.Exit("bench", play(flag.Args()))
	}
	rig.Main("bench", func(ctx context.Context, programs string) error {
		opt.bin = programs
		return run(ctx, opt, *only)
	})
}

func run(ctx context.Context, opt options, only string) error {
	var names []string
	for _, s := range sections {
		names = append(names, s.name)
	}
	wanted := names
	if only != "" {
		wanted = strings.Split(only, ",")
	}
	for _, w := range wanted {
		i := slices.Index(names, w)
		if i < 0 {
			return fmt.Errorf("there is no section %q: the sections are %s", w, strings.Join(names, ", "))
		}
		fmt.Printf("\n%s: %s\n", sections[i].name, sections[i].what)
		if err := sections[i].watched(ctx, opt); err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	return nil
}

// watched runs a section and says how long it took and how quiet the machine was.
func (s section) watched(ctx context.Context, opt options) error {
	begun := time.Now()
	late := measure.WatchLateness()
	err := s.run(ctx, opt)
	fmt.Printf("  (%s; %s)\n", time.Since(begun).Round(time.Second), late())
	return err
}
