//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

const (
	largeSize = 60_000_000 // bytes, of the first two downloads
	smallSize = 30_000_000 // bytes, of the one that loses a link
	// When the cues come, in bytes received.
	statusAt = 24_000_000
	unplugAt = 10_000_000
)

// stage is the running system and what the acts share.
type stage struct {
	rig     *rig.Rig
	screen  screen
	fetcher fetcher
	socket  string // of the client's admin API
}

func newStage(ctx context.Context, bin string) (*stage, error) {
	begun := time.Now()
	fmt.Print("Starting them with the link that `mpproxy-server init` printed … ")
	links := rig.DSLAndLTE()
	for i := range links {
		links[i].V4 = true // one family is enough to look at
	}
	r, err := rig.New(ctx, rig.Config{Bin: bin, Links: links})
	if err != nil {
		fmt.Println("not finished.")
		if errors.Is(err, os.ErrPermission) { // EPERM and EACCES
			err = fmt.Errorf("%w (%w)", errNamespaces, err)
		}
		return nil, err
	}
	fmt.Printf("done in %.1f s.\nThe bars show what arrives over each link, headers included.\n", time.Since(begun).Seconds())
	s := &stage{rig: r, screen: screen{out: os.Stdout}, fetcher: newFetcher(r)}
	if s.socket, err = adminSocket(r); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return s, nil
}

// printLogs prints what the programs said last.
func (s *stage) printLogs(w io.Writer) {
	for _, p := range []*netns.Process{s.rig.ClientDaemon, s.rig.Server} {
		fmt.Fprintf(w, "\nThe last lines of %s:\n%s", p.Name(), tail(p.Output(), 8))
	}
	fmt.Fprintln(w)
}

// play plays the acts.
func (s *stage) play(ctx context.Context) error {
	var r report
	for _, l := range s.rig.Links {
		p := l.Params(netns.Downstream)
		r.links = append(r.links, linkFacts{label(l.Name), float64(p.Rate)})
	}
	var err error
	if r.both, err = s.bothLinks(ctx); err != nil {
		return err
	}
	if r.alone, err = s.firstAlone(ctx); err != nil {
		return err
	}
	if r.unplugged, r.unpluggedAt, err = s.unplug(ctx); err != nil {
		return err
	}
	fmt.Println("\nWhat was seen")
	for _, sentence := range r.sentences() {
		fmt.Println(wrap("  - "+sentence, 4))
	}
	return nil
}

// bothLinks downloads through the proxy, and asks `status` on the way.
func (s *stage) bothLinks(ctx context.Context) (outcome, error) {
	fmt.Printf("\n1. %.0f MB through the proxy, over both links\n", mega(largeSize))
	var text []byte
	o, err := s.perform(ctx, act{via: viaProxy, size: largeSize, cue: &cue{at: statusAt, do: func(ctx context.Context, _ int64) error {
		var err error
		text, err = s.rig.Client.Command(ctx, s.rig.ClientBinary(), "status").Output()
		return err
	}}})
	if err != nil {
		return o, err
	}
	fmt.Println("\n   What `mpproxy-client status` said on the way")
	for line := range strings.Lines(string(text)) {
		fmt.Print("   │ " + line)
	}
	if o.subflows < len(s.rig.Links) {
		return o, fmt.Errorf("the connection had %d Multipath TCP subflows instead of %d: `status` above says what is missing", o.subflows, len(s.rig.Links))
	}
	for i, n := range o.carried {
		if n < largeSize/100 {
			return o, fmt.Errorf("%s carried only %d bytes: both links should have been used", label(s.rig.Links[i].Name), n)
		}
	}
	return o, nil
}

func (s *stage) firstAlone(ctx context.Context) (outcome, error) {
	fmt.Printf("\n2. The same %.0f MB over %s alone, without the proxy\n", mega(largeSize), label(s.rig.Links[0].Name))
	return s.perform(ctx, act{via: dslAlone, size: largeSize})
}

// unplug pulls the plug of the first link on the way, and returns after how many
// bytes it did.
func (s *stage) unplug(ctx context.Context) (_ outcome, at int64, err error) {
	name := label(s.rig.Links[0].Name)
	fmt.Printf("\n3. %.0f MB through the proxy; after %.0f MB the plug of %s is pulled\n", mega(smallSize), mega(unplugAt), name)
	o, err := s.perform(ctx, act{via: viaProxy, size: smallSize, cue: &cue{at: unplugAt, do: func(_ context.Context, received int64) error {
		at = received
		return s.rig.Links[0].SetCarrier(false)
	}}})
	return o, at, err
}

// tail returns the last n lines of text.
func tail(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
