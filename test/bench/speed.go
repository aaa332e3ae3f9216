package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

const (
	speedTime    = 3 * time.Second
	speedRuns    = 3 // of which the median counts
	fetchTime    = 5 * time.Second
	fetchWorkers = 16
	rawPort      = 9000
	smallPort    = 81
)

// speed compares raw MPTCP with the proxy, in one run on the same links.
func speed(ctx context.Context, opt options) error {
	fmt.Printf("  %-22s %14s %12s %12s %12s %14s\n", "download", "goodput", "CPU s/GB", "client s/GB", "server s/GB", "of raw MPTCP")
	raw, err := rawSpeed(ctx, opt)
	if err != nil {
		return err
	}
	var small []string
	for _, security := range []string{"none", "tls"} {
		r, err := rig.New(ctx, opt.rig(rig.Config{Links: unshaped(), Security: security}))
		if err != nil {
			return err
		}
		if err := proxySpeed(ctx, r, security, raw); err != nil {
			return err
		}
		line, err := fetches(ctx, r)
		if err != nil {
			return err
		}
		small = append(small, fmt.Sprintf("leg %-5s %s", security, line))
		if err := r.Close(); err != nil {
			return err
		}
	}
	fmt.Printf("  fetches of 1 KB, a new connection each, %d at a time:\n", fetchWorkers)
	for _, s := range small {
		fmt.Println("   ", s)
	}
	return nil
}

// rawSpeed sends from the concentrator's host to the client's over one MPTCP
// connection. Its second subflow comes from the endpoints that the client has
// registered, so the kernel is the path manager here.
func rawSpeed(ctx context.Context, opt options) (goodput float64, err error) {
	manager := measure.Manager("kernel")
	r, err := rig.New(ctx, opt.rig(rig.Config{Links: unshaped(), EditServer: manager, EditClient: manager}))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	p, err := startRole(ctx, r.Concentrator, "send-raw", fmt.Sprintf("[::]:%d", rawPort))
	if err != nil {
		return 0, err
	}
	m, err := median(ctx, r, "read-raw", netip.AddrPortFrom(r.Concentrator4, rawPort).String())
	if err != nil {
		return 0, err
	}
	m.print("raw MPTCP", m.goodput)
	return m.goodput, p.Kill()
}

func proxySpeed(ctx context.Context, r *rig.Rig, security string, raw float64) error {
	m, err := median(ctx, r, "read-http", rig.Socks, r.DestinationAddr(false, 80))
	if err == nil {
		m.print("proxy, leg "+security, raw)
	}
	return err
}

// reading is one measurement of goodput and CPU.
type reading struct {
	goodput             float64 // bit/s
	cpu, client, server float64 // seconds
	bytes               int64
	fetches             int
	longest, took       time.Duration
}

func (m reading) print(name string, raw float64) {
	gb := float64(m.bytes) / 1e9
	fmt.Printf("  %-22s %7.2f Gbit/s %12.2f %12.2f %12.2f %13.0f%%\n", name, m.goodput/1e9, m.cpu/gb, m.client/gb, m.server/gb, 100*m.goodput/raw)
}

// median measures a role in the client's host several times.
func median(ctx context.Context, r *rig.Rig, role ...string) (reading, error) {
	var all []reading
	for range speedRuns {
		m, err := measureRole(ctx, r, role...)
		if err != nil {
			return m, err
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b reading) int { return cmp.Compare(a.goodput, b.goodput) })
	return all[len(all)/2], nil
}

// measureRole runs a role in the client's host and reads the CPU time of the whole
// machine and of both programs around it.
func measureRole(ctx context.Context, r *rig.Rig, role ...string) (reading, error) {
	machine0, client0, server0 := machineCPU(), processCPU(r.ClientDaemon.Pid()), processCPU(r.Server.Pid())
	res, err := runRole(ctx, r.Client, role...)
	return reading{
		goodput: float64(res.Bytes) * 8 / res.Took.Seconds(), bytes: res.Bytes,
		fetches: res.Fetches, longest: res.Longest, took: res.Took,
		cpu:    (machineCPU() - machine0).Seconds(),
		client: (processCPU(r.ClientDaemon.Pid()) - client0).Seconds(),
		server: (processCPU(r.Server.Pid()) - server0).Seconds(),
	}, err
}

// fetches counts small fetches in fetchTime.
func fetches(ctx context.Context, r *rig.Rig) (string, error) {
	p, err := startRole(ctx, r.Destination, "small", fmt.Sprintf("[::]:%d", smallPort))
	if err != nil {
		return "", err
	}
	m, err := measureRole(ctx, r, "fetch", rig.Socks, r.DestinationAddr(false, smallPort))
	if err != nil {
		return "", err
	}
	each := func(seconds float64) float64 { return seconds * 1e6 / float64(m.fetches) }
	return fmt.Sprintf("%.0f per second, longest %.0f ms; CPU for each: client %.0f µs, server %.0f µs, whole machine %.0f µs",
		float64(m.fetches)/m.took.Seconds(), measure.Millis(m.longest), each(m.client), each(m.server), each(m.cpu)), p.Kill()
}
