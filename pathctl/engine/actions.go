package engine

import (
	"slices"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

// Change is one thing to be done that a plan asks for.
type Change struct {
	Action Action
	ID     policy.SubflowID // 0: of a subflow that is to be created
	Path   string
	Backup bool         // priority of a subflow that is to be created
	Cause  policy.Cause // of ActionDestroy
	Reason reason.Reason
}

// Changes returns what has to be done for a connection to become what the plan
// says, in the order in which it is done. It is a pure function: a replayed plan
// gives the same changes.
//
// What has failed goes first: a policy drops it only when another subflow can
// carry its data, and the kernel sends that again as soon as it is gone. Were the
// other one put into use before, new data would be in its queue already, and
// nothing could be delivered until what is missing had come behind it. What is
// merely too much goes after what is missing was created, so that data always has
// somewhere to go.
func Changes(conn policy.Conn, plan policy.Plan) []Change {
	n := len(plan.Create) + len(plan.Drop)
	for _, k := range plan.Keep {
		if changesPriority(conn, k) {
			n++
		}
	}
	if n == 0 {
		return nil // as most plans
	}
	changes := make([]Change, 0, n)
	destroy := func(failed bool) {
		for _, d := range plan.Drop {
			if failed == d.Cause.Broken() {
				changes = append(changes, Change{Action: ActionDestroy, ID: d.ID, Path: d.Path, Cause: d.Cause, Reason: d.Reason})
			}
		}
	}
	destroy(true)
	for _, w := range plan.Create {
		changes = append(changes, Change{Action: ActionCreate, Path: w.Path, Backup: w.Backup, Reason: w.Reason})
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
		changes = append(changes, Change{Action: action, ID: k.ID, Path: path, Reason: k.Reason})
	}
	destroy(false)
	return changes
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
