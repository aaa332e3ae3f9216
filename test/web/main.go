// Command web measures what people do all day: it opens a page in a headless Chromium,
// and fetches small objects over new connections, directly over each link alone, through
// mpproxy, and through the other proxies that are found on PATH. What it prints are
// milliseconds, and ratios to the better of the direct ways in the same run.
//
//	page    63 objects, 1.9 MB, from six hosts over HTTPS and HTTP/2: the first visit,
//	        and the next one, each in a browser that has just been started
//	fetch   2, 20 and 100 KB over HTTP, from a host that was never asked before, and
//	        from one that was
//
// It needs root or a user namespace, and touches nothing outside of the namespaces that
// it makes, but for the list of congestion controls that these may use.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// options say what is measured.
type options struct {
	bin     string
	output  bool
	control []string // congestion controls
	pairs   []string // names of linkSets
	ways    []string // only those that begin so; empty: all
	parts   []string
	modes   []string // of mpproxy
	loads   int
	fetches int
}

// linkSet is the links of one table.
type linkSet struct {
	name  string
	links []netns.LinkConfig
}

func linkSets() []linkSet {
	return []linkSet{
		{"50/10+20/25", rig.DSLAndLTE()},
		{"16/15+50/30", rig.Pair(16, 15, 50, 30)},
		{"50/10", rig.DSLAndLTE()[:1]},
	}
}

func main() {
	var opt options
	var control, pairs, ways, parts, modes string
	flag.StringVar(&control, "cc", "bbr,cubic", "congestion controls of all hosts")
	flag.StringVar(&pairs, "links", "50/10+20/25,16/15+50/30,50/10", "links, as Mbit/s and milliseconds one way")
	flag.StringVar(&ways, "ways", "", "only ways whose names begin with one of these")
	flag.StringVar(&parts, "only", "page,fetch", "what to measure")
	flag.StringVar(&modes, "modes", "aggregate", "modes of mpproxy")
	flag.IntVar(&opt.loads, "loads", 10, "visits of each kind")
	flag.IntVar(&opt.fetches, "fetches", 60, "fetches of each size and kind")
	flag.BoolVar(&opt.output, "output", false, "show the output of the programs")
	short := flag.Bool("short", false, "few visits and fetches over the first links, with bbr, unless other flags say otherwise")
	role := flag.Bool("role", false, "play a role (internal)")
	flag.Parse()
	if *role {
		rig.Exit("web", play(flag.Args()))
	}
	if *short {
		shorten()
	}
	opt.control, opt.pairs, opt.ways = fields(control), fields(pairs), fields(ways)
	opt.parts, opt.modes = fields(parts), fields(modes)
	rig.Main("web", func(ctx context.Context, programs string) error {
		opt.bin = programs
		return run(ctx, opt)
	})
}

// shorten sets what the command line has left open to a short run's.
func shorten() {
	values := map[string]string{"loads": "3", "fetches": "15", "cc": "bbr", "links": linkSets()[0].name}
	flag.Visit(func(f *flag.Flag) { delete(values, f.Name) })
	for name, value := range values {
		_ = flag.Set(name, value) // all are of their flag's kind
	}
}

func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

func run(ctx context.Context, opt options) error {
	for _, name := range opt.pairs {
		i := slices.IndexFunc(linkSets(), func(s linkSet) bool { return s.name == name })
		if i < 0 {
			return fmt.Errorf("there are no links %q", name)
		}
		for _, control := range opt.control {
			if err := table(ctx, opt, linkSets()[i], control); err != nil {
				return fmt.Errorf("%s, %s: %w", name, control, err)
			}
		}
	}
	return nil
}

// table measures all ways over a set of links with one congestion control.
func table(ctx context.Context, opt options, set linkSet, control string) error {
	allowed, err := allowControl(control)
	if err != nil {
		return err
	}
	defer allowed()
	ways, end, err := setUp(ctx, opt, set.links, control)
	if err != nil {
		return err
	}
	defer end()
	begun, late := time.Now(), measure.WatchLateness()
	fmt.Printf("\n%s, %s\n", set.name, control)
	for _, p := range []struct {
		name    string
		measure func(context.Context, options, []*way) error
	}{{"page", pages}, {"fetch", fetches}} {
		if slices.Contains(opt.parts, p.name) {
			if err := p.measure(ctx, opt, ways); err != nil {
				return err
			}
		}
	}
	fmt.Printf("  (%s; %s)\n", time.Since(begun).Round(time.Second), late())
	return nil
}

// play runs a role in this process. Load is made by processes of their own, each in its
// host, as real applications are.
func play(args []string) error {
	switch args[0] {
	case "visit":
		return visitRole(args[1:])
	case "fetch":
		return fetchRole(args[1:])
	}
	return fmt.Errorf("no role %q", args[0])
}

// logf shows the output of the programs if that was asked for.
func (o options) logf() func(string, ...any) {
	if !o.output {
		return nil
	}
	return func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
}

// alone names the direct way over one link.
func alone(l netns.LinkConfig) string {
	return fmt.Sprintf("direct %d/%d", l.Rate/link.Mbit, l.Delay.Milliseconds())
}
