package control

import (
	"context"
	"fmt"
	"time"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

// A ServiceType says in Apple's words what an application wants of several paths
// (URLSessionConfiguration.MultipathServiceType). Services run in the
// application's own process, with the policies of the proxy: docs/architecture.md
// describes the modes of the same names.
type ServiceType uint8

// The service types.
const (
	// ServiceUnset asks for none: Multipath TCP is used, and subflows are the
	// kernel's or the application's affair.
	ServiceUnset ServiceType = iota
	// ServiceNone does without Multipath TCP.
	ServiceNone
	// ServiceHandover keeps to the best path, and moves to the next one when
	// that fails. A metered path carries nothing before.
	ServiceHandover
	// ServiceInteractive keeps to the path with the lowest latency; the others
	// stand by.
	ServiceInteractive
	// ServiceAggregate uses all paths at once.
	ServiceAggregate
)

var services = [...]struct {
	name string
	mode policy.Mode
}{
	ServiceUnset: {"unset", ""}, ServiceNone: {"none", ""},
	ServiceHandover: {"handover", mode.Handover}, ServiceInteractive: {"interactive", mode.Interactive},
	ServiceAggregate: {"aggregate", mode.Aggregate},
}

// String names the service.
func (s ServiceType) String() string {
	if int(s) < len(services) {
		return services[s].name
	}
	return fmt.Sprintf("ServiceType(%d)", uint8(s))
}

// Mode returns the mode that provides the service, "" where there is none.
func (s ServiceType) Mode() policy.Mode {
	if int(s) < len(services) {
		return services[s].mode
	}
	return ""
}

// A Profile is the most important thing that an application wants, RFC 6897
// section A.2 and REQ8.
type Profile uint8

// The profiles.
const (
	ProfileUnset       Profile = iota
	ProfileThroughput          // much data: mode aggregate
	ProfileLatency             // little delay and jitter: mode interactive
	ProfileReliability         // survive the failure of a path: mode handover
)

var profiles = [...]struct {
	name string
	mode policy.Mode
}{
	ProfileUnset: {"unset", ""}, ProfileThroughput: {"throughput", mode.Aggregate},
	ProfileLatency: {"latency", mode.Interactive}, ProfileReliability: {"reliability", mode.Handover},
}

// String names the profile.
func (p Profile) String() string {
	if int(p) < len(profiles) {
		return profiles[p].name
	}
	return fmt.Sprintf("Profile(%d)", uint8(p))
}

// Mode returns the mode that serves the profile, "" where there is none.
func (p Profile) Mode() policy.Mode {
	if int(p) < len(profiles) {
		return profiles[p].mode
	}
	return ""
}

// Hints are what an application expects of a connection, RFC 6897 REQ9. Zero
// means that it does not know.
type Hints struct {
	Amount   uint64        // of data in both directions, bytes
	Duration time.Duration // of the connection
	Rate     uint64        // at which data comes, bytes per second
}

// Mode returns the mode that fits, "" when nothing is known. The limits are
// those of the mode lazy, which measures what is hinted here: lazy_bytes (1 MB),
// lazy_time (3 s), lazy_rate (32 KB/s).
//
//   - a thin stream, up to lazy_rate for lazy_time or longer: interactive;
//   - less than lazy_bytes: single when it is over soon, else handover;
//   - more: aggregate;
//   - only a time or a rate: lazy, which waits and sees; single when the time
//     is short.
func (h Hints) Mode() policy.Mode {
	limits := mode.LazyDefaults
	long := h.Duration >= limits.LazyTime
	amount := h.Amount
	if amount == 0 && h.Rate > 0 && h.Duration > 0 {
		amount = uint64(float64(h.Rate) * h.Duration.Seconds())
	}
	switch {
	case h == (Hints{}):
		return ""
	case h.Rate > 0 && h.Rate <= limits.LazyRate && (long || h.Duration == 0) && h.Amount < limits.LazyBytes:
		return mode.Interactive
	case amount >= limits.LazyBytes:
		return mode.Aggregate
	case amount > 0 && long:
		return mode.Handover
	case amount > 0, h.Duration > 0 && !long:
		return mode.Single
	}
	return mode.Lazy
}

// SteerBy is the way to steer that serves a mode with its usual numbers; the zero
// value for "".
func SteerBy(m policy.Mode) Steering {
	if m == "" {
		return Steering{}
	}
	return Steering{Mode: policy.Spec{Name: string(m), Base: m, Params: policy.DefaultParams(m)}}
}

// steering is what the Dialer's fields say, the most exact one first.
func (d *Dialer) steering() Steering {
	if !d.Steering.manual() {
		return d.Steering
	}
	for _, m := range []policy.Mode{d.Service.Mode(), d.Profile.Mode(), d.Hints.Mode()} {
		if m != "" {
			s := SteerBy(m)
			s.Paths = d.Steering.Paths
			return s
		}
	}
	return d.Steering
}

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
