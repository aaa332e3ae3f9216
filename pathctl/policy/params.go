package policy

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"mpproxy/pathctl/pathstate"
)

// Params are the numbers of a mode: those that every mode has, and its own. Each
// has a key in the configuration, a unit, a range and a meaning (Param), and a
// default with its reason. Two Params can be compared.
type Params struct {
	Common
	// Own has the type that the mode has registered for its numbers.
	Own any
}

// Common are the numbers that every mode has, but for ReturnAfter and Linger, which
// mean something only to modes with the trait OnePath.
type Common struct {
	// When a subflow has failed: both roles.
	StallTimeout  time.Duration
	StallRTTs     float64
	StallBurst    int
	StallProof    int
	RTOThreshold  time.Duration
	LossThreshold float64
	LossTime      time.Duration
	LossAdvantage float64
	ProbeTimeout  time.Duration
	DoubtRate     uint64
	JoinTimeout   time.Duration
	JoinPatience  time.Duration

	// What is held against a path that failed.
	pathstate.Patience

	MaxSubflows int

	ReturnAfter, Linger time.Duration
}

// defaultCommon is what the numbers of every mode are unless it adjusts them.
var defaultCommon = Common{
	// Below the kernel's lowest retransmission timeout of 200 ms on top of
	// the round trip (TCP_RTO_MIN), so that we move before it backs off. It
	// is a floor for quiet paths: where round trips vary their variation
	// rules, as with stall_rtts.
	StallTimeout: 150 * time.Millisecond,
	// One round trip for the answer and one to spare. Three, the time after
	// which a tail loss probe (2 RTT, RFC 8985 §7.2) is unanswered, would
	// wait longer than the kernel's own timer on a full 60 KB queue at
	// 5 Mbit/s. RTTVar is added four times, as RFC 6298 §2 does.
	StallRTTs: 2,
	// Five segments in flight are not all lost by chance: 10⁻¹⁰ at 1 %.
	StallBurst: 5,
	// A thin flow has one or two segments in flight. Three transmissions
	// without an answer happen once in 10⁶ at 1 % loss; two would be once
	// in ten minutes of an echo each 100 ms.
	StallProof: 3,
	// Above the first timeout of a path of 200 ms, far below the 1 s of
	// SMAPP §4.2, which had to be reached by doubling.
	RTOThreshold: 500 * time.Millisecond,
	// A short queue overflows now and then (bbr: 3 to 9 % in all, 40 % at
	// times), and hardly in four quarters of a second in a row. Two thirds
	// of the 30 % that must not be borne.
	LossThreshold: 0.20,
	// Beyond the second in which it is measured.
	LossTime: 200 * time.Millisecond,
	// Moving from one bad path to another that is as bad gains nothing.
	LossAdvantage: 3,
	// A path answers within its round trip; 150 ms serves LTE.
	ProbeTimeout: 150 * time.Millisecond,
	// 128 kbit/s: below it pauses are the application's.
	DoubtRate: 16_000,
	// The SYN is sent at 0, 1 and 3 s (RFC 6298 §2). The next one, at 7 s,
	// would come too late to be back within 10 s of a path's healing.
	JoinTimeout: 4 * time.Second,
	// The first SYN has had its chance when the second leaves.
	JoinPatience: time.Second,

	// Back within 10 s when the loss was short, 16, 32 … s when it was not.
	Patience: pathstate.Patience{Hold: 8 * time.Second, HoldMax: 5 * time.Minute, Forgive: time.Minute},

	// MPTCP_SUBFLOWS_MAX of the kernel's own path manager (net/mptcp/pm.c);
	// the one in user space has no limit.
	MaxSubflows: 8,

	// Long enough to see a radio come and go, short enough to be back
	// within 10 s together with the join's back-off.
	ReturnAfter: 3 * time.Second,
	// What is in flight on the metered path arrives; then it is silent.
	Linger: time.Second,
}

// ErrParams is what every complaint about a number Is.
var ErrParams = errors.New("parameter not allowed")

// ParamError is a number that may not be used. It Is ErrParams.
type ParamError struct {
	Key   string // in the configuration
	Value string
	Legal string // what is allowed, in words
}

func (e *ParamError) Error() string {
	return fmt.Sprintf("%s: %s is not allowed: use %s", e.Key, e.Value, e.Legal)
}

// Is reports whether target is ErrParams.
func (e *ParamError) Is(target error) bool { return target == ErrParams }

// fitting is a condition that holds or not.
type fitting struct {
	ok         bool
	key, legal string
}

// Validate checks every number of a mode against its range, and those that depend on
// each other. The error joins one *ParamError for each mistake.
func (p Params) Validate(m Mode) error {
	d := m.definition()
	var errs []error
	for i := range d.params {
		if err := d.params[i].check(&p); err != nil {
			errs = append(errs, err)
		}
	}
	for _, f := range d.fits(&p) {
		if !f.ok {
			text, _ := p.Get(f.key)
			errs = append(errs, &ParamError{f.key, text, f.legal})
		}
	}
	return errors.Join(errs...)
}

// Spec is a mode as a connection can ask for it: a built-in one, perhaps with
// other numbers, or one that a user defined by a base and numbers.
type Spec struct {
	Name   string
	Base   Mode
	Params Params
}

// BuiltIn returns the specs of all built-in modes, the default first.
func BuiltIn() []Spec {
	var specs []Spec
	for _, m := range Modes() {
		specs = append(specs, Spec{string(m), m, DefaultParams(m)})
	}
	return specs
}

// A name travels behind a '+' in a user name and as a metric's label.
var specName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// Validate checks the name, the base and the numbers. The name of a built-in
// mode may only be given to that mode.
func (s Spec) Validate() error {
	var errs []error
	if !specName.MatchString(s.Name) {
		errs = append(errs, fmt.Errorf("mode name %q: use 1 to 32 of a-z, 0-9 and '-', a letter first", s.Name))
	}
	if _, err := ParseMode(string(s.Base)); err != nil {
		errs = append(errs, fmt.Errorf("base of mode %q: %w", s.Name, err))
	} else if m, err := ParseMode(s.Name); err == nil && m != s.Base {
		errs = append(errs, fmt.Errorf("mode %q is built in: it cannot have the base %q; choose another name", s.Name, s.Base))
	}
	if err := s.Params.Validate(s.Base); err != nil {
		errs = append(errs, fmt.Errorf("mode %q: %w", s.Name, err))
	}
	return errors.Join(errs...)
}
