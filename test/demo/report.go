//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"
)

// payloadShare is what a link's rate leaves for data: 1428 bytes of payload in
// a frame of 1514, with IPv4 and TCP options (package link).
const payloadShare = 0.943

type linkFacts struct {
	name string
	rate float64 // bit/s
}

// report is what all acts have measured.
type report struct {
	links                  []linkFacts
	both, alone, unplugged outcome
	unpluggedAt            int64 // bytes
}

// goodput is in bit/s of payload.
func (o outcome) goodput() float64 { return float64(o.size) * 8 / o.took.Seconds() }

// ceiling is the payload that all links together can carry, in bit/s.
func (r report) ceiling() (sum float64) {
	for _, l := range r.links {
		sum += l.rate * payloadShare
	}
	return sum
}

// sentences says in words what was measured.
func (r report) sentences() []string {
	first := r.links[0]
	return []string{
		fmt.Sprintf("Through the proxy %.0f MB came in %s: %.1f Mbit/s, %.0f %% of the %.1f Mbit/s of payload that both links can carry (%.1f %% of their %.0f Mbit/s; the rest is headers). %s.",
			mega(float64(r.both.size)), seconds(r.both.took), mega(r.both.goodput()), 100*r.both.goodput()/r.ceiling(), mega(r.ceiling()),
			100*payloadShare, mega(r.ceiling()/payloadShare), r.shares(r.both)),
		fmt.Sprintf("%s alone took %s for them: %.1f Mbit/s, %.0f %% of what both links can carry.",
			first.name, seconds(r.alone.took), mega(r.alone.goodput()), 100*r.alone.goodput()/r.ceiling()),
		r.comparison(),
		fmt.Sprintf("%s was unplugged after %.1f of %.0f MB: the rest came over %s on the same connection, %s in all. The application saw no error and no pause longer than %.2f s.",
			first.name, mega(float64(r.unpluggedAt)), mega(float64(r.unplugged.size)), r.links[1].name, seconds(r.unplugged.took), r.unplugged.pause.Seconds()),
		"All three downloads have the SHA-256 of what the destination sent.",
	}
}

func (r report) comparison() string {
	factor := r.both.goodput() / r.alone.goodput()
	if factor < 1 {
		return fmt.Sprintf("The proxy was not faster than %s here (%.2f times as fast): is the machine busy with something else?", r.links[0].name, factor)
	}
	best := r.ceiling() / (r.links[0].rate * payloadShare)
	return fmt.Sprintf("The proxy was %.2f times as fast as %s alone; with these links %.2f is all there can be.", factor, r.links[0].name, best)
}

// shares says how much of an outcome came over each link.
func (r report) shares(o outcome) string {
	var sum uint64
	for _, n := range o.carried {
		sum += n
	}
	var parts []string
	for i, n := range o.carried {
		parts = append(parts, fmt.Sprintf("%.0f %% came over %s", 100*float64(n)/float64(max(sum, 1)), r.links[i].name))
	}
	return strings.Join(parts, ", ")
}

func mega(v float64) float64 { return v / 1e6 }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
