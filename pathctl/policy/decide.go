package policy

import "slices"

// inline is how many subflows and paths a decision holds without allocating:
// the most that the kernel allows.
const inline = 8

// Decide returns what should be, and what to remember until the next time. It
// is pure, and agrees with itself: when its plan has come true and nothing else
// has changed, it asks for no further change.
//
// Whatever the mode, the last established subflow is never dropped, a subflow
// is only dropped for having failed when another can carry its data, and
// nothing is created on a path that is down, has Retry > 0, or has its subflows.
func Decide(c Conn, paths []Path, m Memory) (Plan, Memory) {
	if c.Params == (Params{}) {
		c.Params = DefaultParams(c.Mode)
	}
	var subs [inline]sub
	var ways [inline]Path
	v := view{c: &c, p: &c.Params, m: m}
	v.paths = v.sorted(ways[:0], paths)
	v.subs = v.placed(subs[:0])
	v.examine(c.Role == Client && len(paths) > 0)
	for i := range v.subs {
		v.dropFaulty(i)
	}
	switch {
	case c.Role == Concentrator:
		concentrator(&v)
	case len(paths) == 0:
		// Nothing is known of the host yet: leave everything as it is.
	default:
		v.client()
	}
	v.keepOne()
	v.unwatch(func(w Watch) bool {
		return !slices.ContainsFunc(v.subs, func(s sub) bool { return s.ID == w.ID && s.verdict != dropped })
	})
	return v.plan(), v.m
}

func (v *view) client() {
	if !v.c.Mode.Several() {
		v.dropTwins()
	}
	switch v.c.Mode {
	case Handover:
		handover(v)
	case Interactive:
		interactive(v)
	case Lazy:
		lazy(v)
	case Streaming:
		streaming(v)
	case Refresh:
		refresh(v)
	case Backup:
		backup(v)
	case Ndiffports:
		ndiffports(v)
	case Single:
		single(v)
		return // it does without a second path
	default:
		aggregate(v)
	}
	v.doubt()
	v.rescue()
}

// plan turns the verdicts into a plan. Undecided subflows stay as they are.
func (v *view) plan() Plan {
	plan := Plan{Create: v.create, Probe: v.probe, Look: v.look}
	if len(v.subs) > 0 {
		plan.Keep = make([]Keep, 0, len(v.subs))
	}
	for i := range v.subs {
		switch s := &v.subs[i]; s.verdict {
		case dropped:
			plan.Drop = append(plan.Drop, Drop{s.ID, s.Path, s.cause, s.why})
		case kept:
			plan.Keep = append(plan.Keep, Keep{s.ID, s.backup, s.why})
		default:
			plan.Keep = append(plan.Keep, Keep{s.ID, s.Backup, ""})
		}
	}
	if len(plan.Keep) == 0 {
		plan.Keep = nil
	}
	return plan
}
