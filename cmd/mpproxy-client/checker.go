package main

import (
	"context"
	"time"

	"mpproxy/proxy/leg"
)

// How often the server is asked again while it does not answer as it should.
// While all is well, connections show that, and nothing is sent for its own
// sake.
const (
	firstRecheck = 5 * time.Second
	lastRecheck  = time.Minute
)

// checker shows the token to the server when the client starts, and again
// after failures, so that status and log tell what is wrong before the first
// application finds out.
type checker struct {
	session *leg.Session
	mode    string
	ready   chan struct{}
}

func newChecker(s *leg.Session, mode string) *checker {
	c := &checker{session: s, mode: mode, ready: make(chan struct{})}
	close(c.ready) // nobody waits for a server that may be down
	return c
}

// Ready is closed from the start.
func (c *checker) Ready() <-chan struct{} { return c.ready }

// String names the task.
func (c *checker) String() string { return "server check" }

// Run checks until ctx is done.
func (c *checker) Run(ctx context.Context) error {
	pause := firstRecheck
	for {
		if h := c.session.Health(); h.State != leg.ServerOK {
			// The outcome is in Health, which logs its changes.
			_ = c.session.Check(ctx, c.mode)
		} else {
			pause = firstRecheck
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, lastRecheck)
		case <-ctx.Done():
			return nil
		}
	}
}
