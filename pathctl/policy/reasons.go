package policy

import "mpproxy/pathctl/reason"

// The kinds that concern every mode.
var (
	reasonAway      = reason.New("away", "{path} is down or not allowed")
	reasonUnjoined  = reason.New("unjoined", "no answer to MP_JOIN for {took} on {path}")
	reasonSilent    = reason.New("silent", "probes unanswered for {took} on {path}")
	reasonStalled   = reason.New("stalled", "no progress for {took} on {path} (limit {limit})")
	reasonTimedOut  = reason.New("timed-out", "RTO {took} ≥ {limit} on {path}")
	reasonLossy     = reason.New("lossy", "loss {rate} ≥ {most} on {path}")
	reasonForgotten = reason.New("forgotten", "{path} answers others, and not this subflow for {took} (forgotten by a NAT or firewall?)")
	reasonGone      = reason.New("gone", "{path} is gone or was never there")
	reasonEmpty     = reason.New("empty", "{path} has no subflow")
	reasonNone      = reason.New("none", "no subflow is established")
	reasonTwin      = reason.New("twin", "{path} has another subflow")
	reasonPreferred = reason.New("preferred", "{path} is preferred to {other}")
	reasonStandby   = reason.New("standby", "standby for {path}")
	reasonReturned  = reason.New("returned", "{path} is preferred and has been good for {took}")
	reasonMayBeUsed = reason.New("may-be-used", "{path} may be used")

	ReasonCarries  = reason.New("carries", "{path} carries the data")
	ReasonSetAside = reason.New("set-aside", "{path} is set aside for {took}: {because}")
)

// classify says what each decision of a plan is counted by.
func (v *View) classify(plan *Plan) {
	failed := false
	for i := range plan.Drop {
		d := &plan.Drop[i]
		failed = failed || d.Cause.Broken()
		d.Reason.Class = map[Cause]reason.Class{PathDown: reason.ClassPathDown, Unneeded: reason.ClassUnneeded, Replaced: reason.ClassReplaced, Forgotten: reason.ClassForgotten}[d.Cause]
		if d.Cause == Failed {
			d.Reason.Class = v.classOfFailure(d.ID)
		}
	}
	for i := range plan.Create {
		c := &plan.Create[i]
		c.Reason.Class = v.classOfUse(c.Path, c.Backup, failed)
	}
	for i := range plan.Keep {
		if k := &plan.Keep[i]; k.Reason != (reason.Reason{}) {
			k.Reason.Class = v.classOfUse(v.Subs[v.indexOf(k.ID)].Path, k.Backup, failed)
		}
	}
}

func (v *View) classOfUse(path string, backup, failed bool) reason.Class {
	switch {
	case backup && v.Probation(path) > 0:
		return reason.ClassSetAside
	case backup:
		return reason.ClassMode
	case failed:
		return reason.ClassFailover
	}
	for i := range v.Subs {
		if s := &v.Subs[i]; s.Established && s.Timeouts == 0 {
			return reason.ClassMode
		}
	}
	return reason.ClassFailover
}

// classOfFailure tells a path that loses from one that is silent: a lossy one is left
// alone for longer. A silence is laid to the loss where the subflow lost too much all the
// time before it. The counters of one window would not tell: a path that falls silent
// takes with it what is in flight.
func (v *View) classOfFailure(id SubflowID) reason.Class {
	s := &v.Subs[v.indexOf(id)]
	switch {
	case !s.Established:
		return reason.ClassNoAnswer
	case s.fault.kind == isLossy, s.FloorKnown && s.LossFloor >= v.Params.LossThreshold:
		return reason.ClassLoss
	}
	return reason.ClassTimeout
}

func (v *View) indexOf(id SubflowID) int {
	for i := range v.Subs {
		if v.Subs[i].ID == id {
			return i
		}
	}
	return Nowhere
}
