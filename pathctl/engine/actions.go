package engine

import (
	"slices"

	"mpproxy/pathctl/policy"
)

// Step is one change that a plan asks for, in the words of the decision that
// comes of it when it can be made.
type Step struct {
	Action Action
	ID     policy.SubflowID // 0: of a subflow that is to be created
	Path   string
	Backup bool         // priority of a subflow that is to be created
	Cause  policy.Cause // of ActionDestroy
	Reason Reason
	Why    string
}

// Steps returns what has to be done for a connection to become what the plan
// says, in the order in which it is done. Memory is what Decide returned together
// with the plan. It is a pure function: a replayed plan gives the same steps.
//
// What has failed goes first: a policy drops it only when another subflow can
// carry its data, and the kernel sends that again as soon as it is gone. Were the
// other one put into use before, new data would be in its queue already, and
// nothing could be delivered until what is missing had come behind it. What is
// merely too much goes after what is missing was created, so that data always has
// somewhere to go.
func Steps(conn policy.Conn, memory policy.Memory, plan policy.Plan) []Step {
	n := len(plan.Create) + len(plan.Drop)
	for _, k := range plan.Keep {
		if changesPriority(conn, k) {
			n++
		}
	}
	if n == 0 {
		return nil // as most plans
	}
	steps := make([]Step, 0, n)
	why := classes{conn, memory, plan}
	destroy := func(failed bool) {
		for _, d := range plan.Drop {
			if failed == (d.Cause == policy.Failed || d.Cause == policy.PathDown) {
				steps = append(steps, Step{Action: ActionDestroy, ID: d.ID, Path: d.Path, Cause: d.Cause, Reason: why.drop(d), Why: d.Why})
			}
		}
	}
	destroy(true)
	for _, w := range plan.Create {
		steps = append(steps, Step{Action: ActionCreate, Path: w.Path, Backup: w.Backup, Reason: why.use(w.Path, w.Backup), Why: w.Why})
	}
	for _, k := range plan.Keep {
		if !changesPriority(conn, k) {
			continue
		}
		action := ActionUse
		if k.Backup {
			action = ActionBackup
		}
		path := conn.Subflows[subflowByID(conn, k.ID)].Path
		steps = append(steps, Step{Action: action, ID: k.ID, Path: path, Reason: why.use(path, k.Backup), Why: k.Why})
	}
	destroy(false)
	return steps
}

// changesPriority reports whether a subflow that stays gets another priority. One that
// is not established has none.
func changesPriority(conn policy.Conn, k policy.Keep) bool {
	i := subflowByID(conn, k.ID)
	return i >= 0 && conn.Subflows[i].Established && conn.Subflows[i].Backup != k.Backup
}

func subflowByID(conn policy.Conn, id policy.SubflowID) int {
	return slices.IndexFunc(conn.Subflows, func(f policy.Subflow) bool { return f.ID == id })
}

// classes tells the reasons of a plan apart.
type classes struct {
	conn   policy.Conn
	memory policy.Memory
	plan   policy.Plan
}

// use classifies why a path gets a subflow, or a subflow a priority.
func (w classes) use(path string, backup bool) Reason {
	if backup {
		if slices.ContainsFunc(w.memory.Notes, func(n policy.Note) bool { return n.Path == path && n.Until > w.conn.Age }) {
			return ReasonSetAside
		}
		return ReasonMode
	}
	left := slices.ContainsFunc(w.conn.Subflows, func(f policy.Subflow) bool { return f.Established && f.Timeouts == 0 })
	failed := slices.ContainsFunc(w.plan.Drop, func(d policy.Drop) bool { return d.Cause == policy.Failed || d.Cause == policy.PathDown })
	if failed || !left {
		return ReasonFailover
	}
	return ReasonMode
}

func (w classes) drop(d policy.Drop) Reason {
	switch d.Cause {
	case policy.PathDown:
		return ReasonPathDown
	case policy.Unneeded:
		return ReasonUnneeded
	case policy.Replaced:
		return ReasonReplaced
	}
	i := subflowByID(w.conn, d.ID)
	switch {
	case i < 0:
	case !w.conn.Subflows[i].Established:
		return ReasonNoAnswer
	case d.Lossy:
		return ReasonLoss
	}
	return ReasonTimeout
}
