package main

import (
	"context"
	"fmt"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// payloadShare is what a link's rate leaves for data: 1428 bytes of payload in
// a frame of 1514, with IPv4, timestamps and DSS (IPv6: 1408).
const payloadShare = 0.943

const transferSize = 60_000_000

// linkCase is one pair of links and what is asked of it.
type linkCase struct {
	name  string
	links []netns.LinkConfig
	aim   int // percent of the payload ceiling
	host  string
	edit  func(string) string
}

func linkCases() []linkCase {
	four, six := rig.DSLAndLTE(), rig.DSLAndLTE()
	mixed := rig.DSLAndLTE()
	for i := range four {
		four[i].V4, six[i].V6 = true, true
	}
	mixed[0].V4, mixed[1].V6 = true, true
	slow := rig.Pair(8, 15, 50, 40)
	for i := range slow {
		slow[i].V4 = true
	}
	return []linkCase{
		{name: "50/10 + 20/25 IPv4", links: four, aim: 90},
		{name: "50/10 + 20/25 IPv6", links: six, aim: 90, host: "2001:db8:100::1"},
		{name: "50/10 IPv4 + 20/25 IPv6", links: mixed, aim: 90, edit: announceIPv6},
		{name: "8/15 + 50/40 IPv4", links: slow, aim: 85},
	}
}

// announceIPv6 tells clients the concentrator's second address. By itself the
// concentrator finds it by its default route, which this network does not have.
var announceIPv6 = rig.Set("announce", `addresses = ["2001:db8:100::1"]`)

func links(ctx context.Context, opt options) error {
	fmt.Printf("  %-26s %-5s %-9s %12s %12s %10s %6s   %s\n", "Mbit/s / ms one way", "leg", "direction", "goodput", "ceiling", "share", "aim", "bytes by path")
	for _, c := range linkCases() {
		if !opt.wanted(c.name) {
			continue
		}
		for _, security := range []string{"tls", "none"} {
			if err := c.measure(ctx, opt, security); err != nil {
				return fmt.Errorf("%s, %s: %w", c.name, security, err)
			}
		}
	}
	return nil
}

func (c linkCase) measure(ctx context.Context, opt options, security string) error {
	r, err := rig.New(ctx, opt.rig(rig.Config{Links: c.links, Security: security, Host: c.host, EditServer: c.edit}))
	if err != nil {
		return err
	}
	defer r.Close()
	client, err := measure.HTTPClient(r, "")
	if err != nil {
		return err
	}
	var ceiling float64
	for _, l := range c.links {
		ceiling += float64(l.Rate) * payloadShare
	}
	for _, direction := range []string{"download", "upload"} {
		before := carried(r)
		var took time.Duration
		if direction == "download" {
			took, err = measure.Download(ctx, client, netns.DestinationName, transferSize, true)
		} else {
			took, err = measure.Upload(ctx, client, netns.DestinationName, transferSize)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", direction, err)
		}
		goodput := transferSize * 8 / took.Seconds()
		after := carried(r)
		fmt.Printf("  %-26s %-5s %-9s %5.1f Mbit/s %5.1f Mbit/s %9.1f%% %5d%%  ", c.name, security, direction,
			goodput/1e6, ceiling/1e6, 100*goodput/ceiling, c.aim)
		for i, l := range r.Links {
			fmt.Printf(" %s %.1f MB", l.Name, float64(after[i]-before[i])/1e6)
		}
		fmt.Println()
	}
	return nil
}

// carried returns the bytes that each link has carried, both ways together.
func carried(r *rig.Rig) []uint64 {
	var out []uint64
	for _, l := range r.Links {
		out = append(out, l.Counters(netns.Upstream).DeliveredBytes+l.Counters(netns.Downstream).DeliveredBytes)
	}
	return out
}
