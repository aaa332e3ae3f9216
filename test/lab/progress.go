package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progressEvery bounds how often a line is printed.
const progressEvery = 5 * time.Second

// progress tells on a stream what is done and how long the rest takes.
type progress struct {
	out io.Writer
	now func() time.Time

	mu        sync.Mutex
	later     time.Duration // what the experiments after this one take
	current   experiment
	begun     time.Time
	all, left int
	printed   time.Time
}

func newProgress(out io.Writer, chosen []experiment) *progress {
	p := &progress{out: out, now: time.Now}
	for _, e := range chosen {
		p.later += e.takes
	}
	return p
}

func (p *progress) begin(e experiment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current, p.begun, p.all, p.left = e, p.now(), 0, 0
	p.later -= e.takes
	fmt.Fprintf(p.out, "%s: %s (about %v, %v in all)\n", e.name, e.title, e.takes.Round(time.Second), (p.later + e.takes).Round(time.Second))
	p.printed = p.now()
}

// jobs adds to the number of runs of the current experiment.
func (p *progress) jobs(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all += n
	p.left += n
}

// done counts a run.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left--
	if now := p.now(); now.Sub(p.printed) >= progressEvery {
		p.printed = now
		fmt.Fprintf(p.out, "%s: %d of %d runs, about %v left\n", p.current.name, p.all-p.left, p.all, p.remaining(now).Round(time.Second))
	}
}

// remaining is the time left: what this experiment takes by its own pace, once
// there is one, and what the others are known to take.
func (p *progress) remaining(now time.Time) time.Duration {
	spent := now.Sub(p.begun)
	left := p.current.takes - spent
	if finished := p.all - p.left; finished > 0 {
		left = spent * time.Duration(p.left) / time.Duration(finished)
	}
	return max(left, 0) + p.later
}

func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "%s: took %v, about %v left\n", p.current.name, p.now().Sub(p.begun).Round(time.Second), p.later.Round(time.Second))
}
