package policy

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Reason is why something is decided: a kind and its numbers. String puts it into
// words. The zero value says nothing. Which fields are set depends on the kind.
type Reason struct {
	Kind        ReasonKind    `json:",omitempty"`
	Class       Class         `json:",omitempty"` // set in plans
	Path, Other string        `json:",omitempty"`
	Took, Limit time.Duration `json:",omitempty"`
	Rate, Most  float64       `json:",omitempty"` // shares, 0 to 1
	Bytes, Of   uint64        `json:",omitempty"` // or bytes a second
	Count       int           `json:",omitempty"`
	Because     *Reason       `json:",omitempty"`
	Text        string        `json:",omitempty"` // of a trace that has words only
}

// ReasonKind names a reason. It stands in traces.
type ReasonKind string

// Class is what reasons are counted by.
type Class string

// The classes.
const (
	ClassMode     Class = "mode"      // the mode wants it so
	ClassFailover Class = "failover"  // another subflow failed, or none was left
	ClassSetAside Class = "set-aside" // its path gave trouble lately
	ClassTimeout  Class = "timeout"   // data was not acknowledged in time
	ClassLoss     Class = "loss"      // it works, but loses too much
	ClassNoAnswer Class = "no-answer" // the peer did not answer MP_JOIN
	ClassPathDown Class = "path-down" // its path is down, gone or not allowed
	ClassUnneeded Class = "unneeded"  // the mode has no use for it any more
	ClassReplaced Class = "replaced"  // another one takes its place
)

// reasonWords has the words of each kind. {path} and {other} are paths or subflows,
// {took} and {limit} durations, {rate} and {most} shares, {because} another reason.
var reasonWords = map[ReasonKind]string{}

// NewReason makes a kind of reason known, and returns it. It is called while the
// program is initialized, and panics when the kind exists.
func NewReason(kind ReasonKind, words string) ReasonKind {
	if reasonWords[kind] != "" {
		panic(fmt.Sprintf("the reason %q is registered twice", kind))
	}
	reasonWords[kind] = words
	return kind
}

// The kinds that concern every mode.
var (
	reasonAway      = NewReason("away", "{path} is down or not allowed")
	reasonUnjoined  = NewReason("unjoined", "no answer to MP_JOIN for {took} on {path}")
	reasonSilent    = NewReason("silent", "probes unanswered for {took} on {path}")
	reasonStalled   = NewReason("stalled", "no progress for {took} on {path} (limit {limit})")
	reasonTimedOut  = NewReason("timed-out", "RTO {took} ≥ {limit} on {path}")
	reasonLossy     = NewReason("lossy", "loss {rate} ≥ {most} on {path}")
	reasonGone      = NewReason("gone", "{path} is gone or was never there")
	reasonEmpty     = NewReason("empty", "{path} has no subflow")
	reasonNone      = NewReason("none", "no subflow is established")
	reasonTwin      = NewReason("twin", "{path} has another subflow")
	reasonPreferred = NewReason("preferred", "{path} is preferred to {other}")
	reasonStandby   = NewReason("standby", "standby for {path}")
	reasonReturned  = NewReason("returned", "{path} is preferred and has been good for {took}")
	reasonMayBeUsed = NewReason("may-be-used", "{path} may be used")

	ReasonCarries  = NewReason("carries", "{path} carries the data")
	ReasonSetAside = NewReason("set-aside", "{path} is set aside for {took}: {because}")
)

// String puts the reason into words.
func (r Reason) String() string {
	if r.Kind == "" {
		return r.Text
	}
	because := ""
	if r.Because != nil {
		because = r.Because.String()
	}
	return strings.TrimSpace(strings.NewReplacer(
		"{path}", r.Path, "{other}", r.Other, "{took}", words(r.Took), "{limit}", words(r.Limit),
		"{rate}", percent(r.Rate), "{most}", percent(r.Most), "{because}", because,
		"{bytes}", strconv.FormatUint(r.Bytes, 10), "{of}", strconv.FormatUint(r.Of, 10), "{count}", strconv.Itoa(r.Count),
	).Replace(reasonWords[r.Kind]))
}

// UnmarshalJSON reads a reason; traces once had its words alone.
func (r *Reason) UnmarshalJSON(text []byte) error {
	if strings.HasPrefix(string(text), `"`) {
		*r = Reason{}
		return json.Unmarshal(text, &r.Text)
	}
	type plain Reason
	if err := json.Unmarshal(text, (*plain)(r)); err != nil {
		return err
	}
	if r.Kind != "" && reasonWords[r.Kind] == "" {
		return fmt.Errorf("unknown reason %q", r.Kind)
	}
	return nil
}

// words writes a duration for people: "240 ms", "1.09 s".
func words(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.3g s", d.Seconds())
}

func percent(x float64) string { return fmt.Sprintf("%.3g %%", 100*x) }

// classify says what each decision of a plan is counted by.
func (v *View) classify(plan *Plan) {
	failed := false
	for i := range plan.Drop {
		d := &plan.Drop[i]
		failed = failed || d.Cause == Failed || d.Cause == PathDown
		d.Reason.Class = map[Cause]Class{PathDown: ClassPathDown, Unneeded: ClassUnneeded, Replaced: ClassReplaced}[d.Cause]
		if d.Cause == Failed {
			d.Reason.Class = v.classOfFailure(d.ID)
		}
	}
	for i := range plan.Create {
		c := &plan.Create[i]
		c.Reason.Class = v.classOfUse(c.Path, c.Backup, failed)
	}
	for i := range plan.Keep {
		if k := &plan.Keep[i]; k.Reason != (Reason{}) {
			k.Reason.Class = v.classOfUse(v.Subs[v.indexOf(k.ID)].Path, k.Backup, failed)
		}
	}
}

func (v *View) classOfUse(path string, backup, failed bool) Class {
	switch {
	case backup && v.Probation(path) > 0:
		return ClassSetAside
	case backup:
		return ClassMode
	case failed:
		return ClassFailover
	}
	for i := range v.Subs {
		if s := &v.Subs[i]; s.Established && s.Timeouts == 0 {
			return ClassMode
		}
	}
	return ClassFailover
}

// classOfFailure tells a path that loses from one that is silent: a lossy one is left
// alone for longer. A silence is laid to the loss where the subflow lost too much all the
// time before it. The counters of one window would not tell: a path that falls silent
// takes with it what is in flight.
func (v *View) classOfFailure(id SubflowID) Class {
	s := &v.Subs[v.indexOf(id)]
	switch {
	case !s.Established:
		return ClassNoAnswer
	case s.fault.kind == isLossy, s.FloorKnown && s.LossFloor >= v.Params.LossThreshold:
		return ClassLoss
	}
	return ClassTimeout
}

func (v *View) indexOf(id SubflowID) int {
	for i := range v.Subs {
		if v.Subs[i].ID == id {
			return i
		}
	}
	return Nowhere
}
