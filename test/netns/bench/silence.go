package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

const (
	silenceRuns   = 5
	silenceWarmUp = 2 * time.Second // before the path dies
	silenceAfter  = 4 * time.Second // after it
	flowPort      = 83
)

// silence kills the path in use in the middle of a bulk transfer and prints the
// longest time without a byte at the receiving application.
func silence(ctx context.Context, opt options) error {
	fmt.Printf("  %-12s %-10s %-9s %-22s %12s %12s   %s\n", "path manager", "mode", "direction", "event", "median", "worst", "all")
	for _, c := range []struct{ manager, mode string }{{"kernel", "aggregate"}, {"userspace", "aggregate"}, {"userspace", "handover"}} {
		if !strings.Contains(c.manager+" "+c.mode, opt.links) {
			continue
		}
		for _, direction := range []string{"download", "upload"} {
			for _, event := range []string{"silently dark", "reported down"} {
				if err := silenceOf(ctx, opt, c.manager, c.mode, direction, event); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// twoSlowLinks are SMAPP's: 5 Mbit/s, 10 ms, with 60 KB queues.
func twoSlowLinks() []netns.LinkConfig {
	p := link.Params{Rate: 5 * link.Mbit, Delay: 10 * time.Millisecond, Queue: 60_000}
	return []netns.LinkConfig{{Name: "dsl0", Params: p, V4: true}, {Name: "lte0", Params: p, V4: true}}
}

func silenceOf(ctx context.Context, opt options, manager, mode, direction, event string) error {
	var all []time.Duration
	for range silenceRuns {
		d, err := silentRun(ctx, opt, manager, mode, direction, event)
		if err != nil {
			return fmt.Errorf("%s, %s, %s, %s: %w", manager, mode, direction, event, err)
		}
		all = append(all, d)
	}
	slices.Sort(all)
	var each []string
	for _, d := range all {
		each = append(each, fmt.Sprintf("%.0f", measure.Millis(d)))
	}
	fmt.Printf("  %-12s %-10s %-9s %-22s %9.0f ms %9.0f ms   %s\n", manager, mode, direction, event,
		measure.Millis(all[len(all)/2]), measure.Millis(all[len(all)-1]), strings.Join(each, " "))
	return nil
}

func silentRun(ctx context.Context, opt options, manager, mode, direction, event string) (time.Duration, error) {
	r, err := rig.New(ctx, opt.rig(rig.Config{Links: twoSlowLinks(), EditServer: measure.Manager(manager), EditClient: measure.Manager(manager)}))
	if err != nil {
		return 0, err
	}
	defer r.Close()
	l, err := apps.Listen(ctx, r.Destination, flowPort)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	d, err := measure.Dialer(r, mode)
	if err != nil {
		return 0, err
	}
	conn, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(r.Destination4, flowPort).String())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	peer, err := l.Accept()
	if err != nil {
		return 0, err
	}
	defer peer.Close()
	from, to := net.Conn(conn), net.Conn(peer)
	if direction == "download" {
		from, to = to, from
	}
	go func() { _, _ = io.Copy(from, apps.NewContent(apps.MaxSize)) }()
	longest := make(chan time.Duration, 1)
	failed := make(chan error, 1)
	go watchFlow(to, silenceWarmUp, silenceWarmUp+silenceAfter, longest, failed)
	time.Sleep(silenceWarmUp)
	if event == "silently dark" {
		err = r.Links[0].SetBlackhole(true)
	} else {
		err = r.Links[0].SetCarrier(false)
	}
	if err != nil {
		return 0, err
	}
	select {
	case d := <-longest:
		return d, nil
	case err := <-failed:
		return 0, err
	}
}

// watchFlow checks every byte of a flow until end, and reports the longest time
// without one after from.
func watchFlow(conn net.Conn, from, end time.Duration, longest chan<- time.Duration, failed chan<- error) {
	begun := time.Now()
	_ = conn.SetReadDeadline(begun.Add(end))
	want := apps.NewContent(apps.MaxSize)
	buf, ref := make([]byte, 64<<10), make([]byte, 64<<10)
	last := begun.Add(from)
	var gap time.Duration
	for {
		n, err := conn.Read(buf)
		now := time.Now()
		if now.After(begun.Add(from)) && (n > 0 || err != nil) {
			gap = max(gap, now.Sub(last))
			last = now
		}
		if _, rerr := io.ReadFull(want, ref[:n]); rerr != nil || !slices.Equal(buf[:n], ref[:n]) {
			failed <- errors.New("the bytes that arrived are not those that were sent")
			return
		}
		if err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				longest <- gap
			} else {
				failed <- err
			}
			return
		}
	}
}
