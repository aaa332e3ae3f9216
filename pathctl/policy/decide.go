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
// nothing is created on a path that is down, has Retry > 0, or has its subflows,
// unless those were forgotten on the way.
func Decide(c Conn, paths []Path, m Memory) (Plan, Memory) {
	if c.Params == (Params{}) {
		c.Params = DefaultParams(c.Mode)
	}
	var subs [inline]Sub
	var ways [inline]Path
	m, _ = m.Of(c.Mode)
	v := View{Conn: &c, Params: &c.Params, Memory: m, mode: c.Mode.definition()}
	v.Paths = v.sorted(ways[:0], paths)
	v.Subs = v.placed(subs[:0])
	v.examine(c.Role == Client && len(paths) > 0)
	for i := range v.Subs {
		v.dropFaulty(i)
	}
	switch {
	case c.Role == Concentrator:
		v.concentrator()
	case len(paths) == 0:
		// Nothing is known of the host yet: leave everything as it is.
	default:
		v.client()
	}
	v.keepOne()
	v.Unwatch(func(w Watch) bool {
		return !slices.ContainsFunc(v.Subs, func(s Sub) bool { return s.ID == w.ID && s.verdict != dropped })
	})
	return v.plan(), v.Memory
}

func (v *View) client() {
	if !v.mode.Several {
		v.dropTwins()
	}
	v.mode.want(v)
	v.prod()
	if v.mode.Alone {
		return // it does without a second path
	}
	v.doubt()
	v.Rescue()
}

// plan turns the verdicts into a plan. Undecided subflows stay as they are.
func (v *View) plan() Plan {
	plan := Plan{Create: v.create, Probe: v.probe, Prod: v.prodding, Look: v.look}
	if len(v.Subs) > 0 {
		plan.Keep = make([]Keep, 0, len(v.Subs))
	}
	for i := range v.Subs {
		switch s := &v.Subs[i]; s.verdict {
		case dropped:
			plan.Drop = append(plan.Drop, Drop{s.ID, s.Path, s.cause, s.why})
		case kept:
			plan.Keep = append(plan.Keep, Keep{s.ID, s.backup, s.why})
		default:
			plan.Keep = append(plan.Keep, Keep{ID: s.ID, Backup: s.Backup})
		}
	}
	if len(plan.Keep) == 0 {
		plan.Keep = nil
	}
	v.classify(&plan)
	return plan
}
