package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image/color"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"mpproxy/test/lab/observe"
	"mpproxy/test/lab/publish"
	"mpproxy/test/netns"
	"mpproxy/test/netns/capture"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// SMAPP section 4.5: how much later the second subflow is asked for when the
// path manager is a program. As in the paper, the client has the one or the other,
// and the server the kernel's; here both hosts share the machine's cores besides, so
// that ours at both ends is measured as well. The capture in the client's namespace
// has the kernel's time stamps of what was on the wire.
var costExperiment = experiment{
	name: "cost", title: "§4.5 cost of user space: from SYN(MP_CAPABLE) to SYN(MP_JOIN), fetches of 512 KB over fast links",
	takes: 5 * time.Minute, run: cost,
}

const (
	// costFetches is how many there are of each case: the tail of the scheduler on an idle
	// machine moves the mean of 2000 by 10 µs from run to run, of what is to be within 23; on
	// a busy one it is the kernel's work queue, by milliseconds.
	costFetches = 6000
	costSize    = 512_000
	// costPart is how many fetches are made with one path manager before it is
	// the other one's turn: whatever happens on the machine happens to both.
	costPart = 100
	// costWarmUp fetches find everything cold and do not count.
	costWarmUp = 10
	// costPatience is how late a second subflow may be asked for.
	costPatience = 10 * time.Second
)

// costArms are the stock kernel's, SMAPP's comparison, and what a user of both
// programs has.
var costArms = [...]arm{
	stockFullMesh,
	{label: "mpproxy at the client", manager: "userspace", server: "kernel", mode: "aggregate"},
	{label: "mpproxy at both ends", manager: "userspace", mode: "aggregate"},
}

// costLoads say how busy the machine is.
var costLoads = [...]struct {
	name string
	aim  float64 // µs added in the mean, SMAPP's
}{{"idle", 23}, {"busy", 37}}

func cost(ctx context.Context, l *lab) (result, error) {
	var cases tally[float64]
	var jobs []job
	parts := costFetches / costPart
	if l.runs > 0 {
		parts = min(l.runs, parts)
	}
	for _, load := range costLoads {
		for range parts {
			for _, a := range costArms {
				name := costCase(a, load.name)
				if !l.wants(name) {
					continue
				}
				jobs = append(jobs, func(ctx context.Context) error {
					delays, err := costRun(ctx, l, a, load.name == "busy", costPart)
					if err != nil {
						return fmt.Errorf("%s: %w", name, err)
					}
					cases.add(name, delays...)
					return nil
				})
			}
		}
	}
	if err := l.batch(ctx, 1, jobs); err != nil {
		return result{}, err
	}
	return costResult(&cases), nil
}

func costCase(a arm, load string) string { return a.label + ", " + load }

// costRun fetches so many times and returns the delays in µs.
func costRun(ctx context.Context, l *lab, a arm, busy bool, count int) ([]float64, error) {
	fast := []netns.LinkConfig{{Name: "eth0", V4: true}, {Name: "eth1", V4: true}}
	r, err := l.rig(ctx, a.config(fast...))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	fetches := fetcher{rig: r, mode: a.mode}
	defer fetches.close()
	for range costWarmUp {
		if err := fetches.fetch(ctx); err != nil {
			return nil, err
		}
	}
	if busy {
		if err := spin(ctx, r); err != nil {
			return nil, err
		}
	}
	segments, err := capture.Record(ctx, r.Client, capture.Options{SYN: true}, observe.OfLegs)
	if err != nil {
		return nil, err
	}
	for range count {
		if err := fetches.fetch(ctx); err != nil {
			return nil, err
		}
	}
	// The connections are still open: one whose second subflow is asked for
	// late, because the machine is busy, is late and not absent.
	late, cancel := context.WithTimeout(ctx, costPatience)
	defer cancel()
	_ = segments.Await(late, func(all []capture.Segment) bool { return len(observe.JoinDelays(all)) >= count })
	all, err := segments.Stop()
	if err != nil {
		return nil, err
	}
	delays := observe.JoinDelays(all)
	if len(delays) < count {
		return nil, fmt.Errorf("%d of %d connections asked for a second subflow within %v", len(delays), count, costPatience)
	}
	return delays, nil
}

// fetcher fetches over a new connection each time, and keeps them open.
type fetcher struct {
	rig  *rig.Rig
	mode string
	kept []net.Conn
}

func (f *fetcher) fetch(ctx context.Context) error {
	d, err := measure.Dialer(f.rig, f.mode)
	if err != nil {
		return err
	}
	conn, err := d.DialContext(ctx, "tcp", f.rig.DestinationAddr(false, 80))
	if err != nil {
		return err
	}
	f.kept = append(f.kept, conn)
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintf(conn, "GET /bytes/%d HTTP/1.1\r\nHost: %s\r\n\r\n", costSize, netns.DestinationName); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && n != costSize {
		err = fmt.Errorf("got %d bytes of %d", n, costSize)
	}
	return err
}

func (f *fetcher) close() {
	for _, c := range f.kept {
		_ = c.Close()
	}
}

// spin keeps every core busy with processes in the client's host. They end with
// the rig.
func spin(ctx context.Context, r *rig.Rig) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for range runtime.NumCPU() {
		p, err := r.Client.Start(ctx, netns.Spec{Path: self, Args: []string{"-role", "spin"}, Name: "spin"})
		if err != nil {
			return err
		}
		if _, err := p.WaitOutput(ctx, "spinning"); err != nil {
			return err
		}
	}
	return nil
}

// spinRole computes for ever. The goroutine has a thread of its own.
func spinRole([]string) error {
	runtime.LockOSThread()
	fmt.Println("spinning")
	for x := uint32(1); ; x = x*1664525 + 1013904223 {
		if x == 0 && os.Getppid() == 0 {
			return errors.New("nobody is there") // never; keeps the loop from being optimised away
		}
	}
}

// costColor tells arms and loads apart: ours at both ends has the later ones of our
// palette.
func costColor(a, load int) color.Color {
	return publish.Palettes[min(a, 1)][load+2*max(a-1, 0)]
}

func costResult(cases *tally[float64]) result {
	samples := publish.Sheet{Header: []string{"case", "delay_us"}}
	fig := publish.Figure{Title: "SMAPP §4.5, Fig. 3: MP_CAPABLE to MP_JOIN", X: "delay (µs)", Y: "CDF", YMin: 0, YMax: 1, XMin: 0}
	var res result
	for i, l := range costLoads {
		load, aim := l.name, l.aim
		var d [len(costArms)]measure.Distribution
		for k, a := range costArms {
			all := cases.of(costCase(a, load))
			for _, v := range all {
				samples.Add(costCase(a, load), v)
			}
			d[k] = measure.NewDistribution(all)
			if len(all) > 0 {
				fig.XMax = max(fig.XMax, d[k].Quantile(0.98))
			}
			fig.Curves = append(fig.Curves, publish.CdfCurve(costCase(a, load), d[k], costColor(k, i), k == 0))
		}
		added := d[1].Mean() - d[0].Mean()
		n := d[1].Len()
		res.rows = append(res.rows,
			publish.Row{Quantity: "mean delay, " + load, Unit: "µs", Stock: d[0].Mean(), Ours: d[1].Mean(), Runs: n},
			publish.Row{Quantity: "added in the mean, " + load, Unit: "µs", Stock: 0, Ours: added, Aim: fmt.Sprintf("≤ %g", aim), Met: added <= aim, Runs: n},
			publish.Row{Quantity: "median, " + load, Unit: "µs", Stock: d[0].Median(), Ours: d[1].Median(), Runs: n},
			publish.Row{Quantity: "99th percentile, " + load, Unit: "µs", Stock: d[0].Quantile(0.99), Ours: d[1].Quantile(0.99), Runs: n},
			publish.Row{Quantity: "added in the mean, " + load + ", ours at both ends", Unit: "µs", Stock: 0, Ours: d[2].Mean() - d[0].Mean(), Runs: d[2].Len()},
			publish.Row{Quantity: "median, " + load + ", ours at both ends", Unit: "µs", Stock: d[0].Median(), Ours: d[2].Median(), Runs: d[2].Len()})
	}
	res.figures, res.samples = []publish.Figure{fig}, []publish.Sheet{samples}
	return res
}
