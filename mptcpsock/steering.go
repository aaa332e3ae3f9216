package mptcpsock

import (
	"context"
	"fmt"

	"mpproxy/pathctl/policy"
)

// Steering is how a Controller steers a connection. The zero value leaves the
// subflows to the application.
type Steering struct {
	// Mode is a mode of package policy with its numbers, for instance one of
	// policy.BuiltIn. One without Base steers nothing.
	Mode policy.Spec
	// Paths are the names of the only paths that subflows may use, the
	// preferred one first; none: all, by rank.
	Paths []string
}

func (s Steering) manual() bool { return s.Mode.Base == "" }

// validate checks a mode's numbers.
func (s Steering) validate() error {
	if s.manual() {
		return nil
	}
	if err := s.Mode.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// Steer changes how the connection is steered, from now on: it is how an
// application that has learnt more says so. Mode takes a while to come true;
// Events tells. ctx bounds handing it over. A mode whose numbers are out of range
// gives policy.ErrParams and ErrInvalid; ErrNoController, ErrNotMultipath and
// net.ErrClosed are told by errors.Is. On an accepted connection a mode does less:
// ListenConfig.Steering says what.
func (c *Conn) Steer(ctx context.Context, s Steering) error {
	op, err := c.begin("steer", s.Mode.Name)
	if err != nil {
		return err
	}
	if err := s.validate(); err != nil {
		return op.fail(err)
	}
	return op.fail(op.steer(ctx, s))
}

// SetManual gives the subflows back to the application: they stay as they are.
// errors.Is tells ErrNoController, ErrNotMultipath, net.ErrClosed and what ends ctx.
func (c *Conn) SetManual(ctx context.Context) error { return c.Steer(ctx, Steering{}) }

// Steering returns how the connection is steered; the zero value without a
// Controller.
func (c *Conn) Steering() Steering {
	a := c.attached.Load()
	if a == nil {
		return Steering{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.steering
}
