package engine

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

// reconcile makes the changes that make a connection's subflows what a plan says.
// For each it returns the decision that came of it, which is none where it could
// not be taken.
func (e *Engine) reconcile(ctx context.Context, c *connection, changes []Change, now time.Time) []*Decision {
	if len(changes) == 0 {
		return nil
	}
	e.reconciling = true
	defer func() { e.reconciling = false }()
	outcomes := make([]*Decision, 0, len(changes))
	for _, s := range changes {
		e.said = nil
		switch s.Action {
		case ActionCreate:
			e.create(ctx, c, s, now)
		case ActionDestroy:
			e.drop(ctx, c, s, now)
		default:
			e.setPriority(ctx, c, s, now)
		}
		outcomes = append(outcomes, e.said)
	}
	return outcomes
}

func (e *Engine) create(ctx context.Context, c *connection, w Change, now time.Time) {
	p, ok := e.pathNamed(w.Path)
	if !ok {
		return
	}
	local, remote, ok := c.way(p)
	if !ok {
		return
	}
	ep := mptcppm.Endpoint{ID: e.addrID(local.Addr), Addr: local.Addr, IfIndex: p.Index}
	if w.Backup {
		ep.Flags |= mptcppm.FlagBackup
	}
	if err := e.cmds.CreateSubflow(ctx, c.reg.Token, ep, remote); err != nil {
		if !errors.Is(err, mptcppm.ErrNoConnection) {
			why := "cannot create a subflow: " + err.Error()
			e.decide(c, ActionFailed, p.Name, reasonOf(kindOf(err)), why)
			e.pathFailed(p.Name, kindOf(err), why, now, now)
		}
		return
	}
	// Port 0 until the kernel says which one it chose.
	f := c.addSubflow(netip.AddrPortFrom(local.Addr, 0), remote, p.Name, now)
	f.asked, f.backup, f.addrID, f.device = true, w.Backup, ep.ID, p.Index
	e.stateOf(p.Name).Trying(now)
	e.decide(c, ActionCreate, p.Name, Reason(w.Reason.Class), w.Reason.String())
}

func (e *Engine) setPriority(ctx context.Context, c *connection, s Change, now time.Time) {
	f := c.byID(s.ID)
	if f == nil {
		return
	}
	backup := s.Action == ActionBackup
	err := e.onSubflow(f, func(local, remote netip.AddrPort) error {
		return e.cmds.SetSubflowBackup(ctx, c.reg.Token, local, remote, backup)
	})
	if err != nil {
		e.log.Debug("cannot change a subflow's priority", "path", f.path, "error", err)
		return
	}
	if f.backup && !backup {
		f.usedAt = now
		f.obs.CountLossAnew(now) // what it carried as backup tells little
	}
	f.backup = backup
	e.decide(c, s.Action, f.path, Reason(s.Reason.Class), s.Reason.String())
}

func (e *Engine) drop(ctx context.Context, c *connection, d Change, now time.Time) {
	f := c.byID(d.ID)
	if f == nil {
		return
	}
	gone := e.destroy
	if c.reg.Role == policy.Client && d.Cause.Broken() {
		gone = e.takeBack
	}
	if !gone(ctx, c, f, Reason(d.Reason.Class), d.Reason.String(), now) {
		return
	}
	kind := pathstate.Dark
	switch {
	case d.Cause != policy.Failed || c.worksOn(f.path):
		return
	case d.Reason.Class == reason.ClassLoss:
		kind = pathstate.Lossy
	case !f.established:
		kind = pathstate.JoinUnanswered
	}
	e.pathFailed(f.path, kind, d.Reason.String(), f.since, now)
}

// destroy closes a subflow, so that the kernel sends again on the others what
// was under way on it. It reports whether the subflow is gone.
func (e *Engine) destroy(ctx context.Context, c *connection, f *subflow, reason Reason, why string, now time.Time) bool {
	if f.local.Port() != 0 {
		err := e.onSubflow(f, func(local, remote netip.AddrPort) error {
			return e.cmds.DestroySubflow(ctx, c.reg.Token, local, remote)
		})
		if err != nil && !errors.Is(err, mptcppm.ErrNotFound) && !errors.Is(err, mptcppm.ErrNoConnection) {
			e.log.Debug("cannot destroy a subflow", "path", f.path, "error", err)
			return false
		}
	}
	c.end(f, true, now)
	e.decide(c, ActionDestroy, f.path, reason, why)
	return true
}

// addressRemoved destroys the subflows to an address that the peer has taken
// back (RM_ADDR, RFC 8684 section 3.4.2): it knows sooner than our timeouts that
// the path is gone. Under the user-space path manager the kernel leaves that to
// us. The last subflow stays.
func (e *Engine) addressRemoved(ctx context.Context, c *connection, id uapi.AddrID, now time.Time) {
	others := 0
	for _, f := range c.subflows {
		if f.established && f.remoteID != id {
			others++
		}
	}
	if others == 0 {
		return
	}
	for _, f := range c.subflows {
		if f.established && f.remoteID == id {
			e.destroy(ctx, c, f, ReasonAddressGone, "the peer took this address back", now)
		}
	}
}

// onSubflow calls f with a subflow's addresses as the kernel has them. Where
// no event has told, an IPv4 subflow of a dual-stack socket has v4-mapped
// addresses, and one that joined later plain ones: the other form is tried as
// well.
func (e *Engine) onSubflow(f *subflow, do func(local, remote netip.AddrPort) error) error {
	err := do(f.local, f.remote)
	if err == nil || !errors.Is(err, mptcppm.ErrNotFound) || !f.local.Addr().Unmap().Is4() {
		return err
	}
	local, remote := otherForm(f.local), otherForm(f.remote)
	if err = do(local, remote); err == nil {
		f.local, f.remote = local, remote
	}
	return err
}

func otherForm(a netip.AddrPort) netip.AddrPort {
	if a.Addr().Is4() {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
	}
	return unmap(a)
}

// addrID returns the address id of a local address: 0 stays the first
// subflow's, the others keep theirs while a path has them, and as long as there
// are ids afterwards.
func (e *Engine) addrID(a netip.Addr) uapi.AddrID {
	if id, ok := e.ids[a]; ok {
		return id
	}
	if len(e.ids) >= mptcppm.IDsPerRole {
		maps.DeleteFunc(e.ids, func(old netip.Addr, _ uapi.AddrID) bool { return !e.hasAddr(old) })
	}
	var used [mptcppm.IDsPerRole]bool
	for _, id := range e.ids {
		used[id-mptcppm.FirstClientID] = true
	}
	i := slices.Index(used[:], false)
	if i < 0 {
		return mptcppm.FirstClientID // more addresses than ids: some connection may be refused a subflow
	}
	e.ids[a] = mptcppm.FirstClientID + uapi.AddrID(i)
	return e.ids[a]
}

// hasAddr reports whether a path has a local address.
func (e *Engine) hasAddr(a netip.Addr) bool {
	return slices.ContainsFunc(e.paths, func(p netpath.Path) bool {
		return slices.ContainsFunc(p.Addrs, func(b netpath.Addr) bool { return a == b.Addr })
	})
}

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

// takeBack destroys a subflow whose path is down or has failed. Its goodbye does
// not reach the peer over its own path: RM_ADDR on another one tells, so that the
// peer does not wait for a timeout of its own sending. This is best effort; the
// kernel repeats nothing.
//
// The kernel sends RM_ADDR on the oldest subflow that is established
// (mptcp_pm_addr_send_ack, net/mptcp/pm.c): when that is this one, the word is
// lost with the path. So the subflow goes first where that is possible. The
// first one of a connection stays in the kernel's list when it is closed, and
// its id 0 can be taken back then. The id of a later one goes with it: it is
// announced once more, to be taken back. Where others share the id (several
// subflows on one path), nothing is said: the peer would destroy them all.
func (e *Engine) takeBack(ctx context.Context, c *connection, f *subflow, reason Reason, why string, now time.Time) bool {
	token, id := c.reg.Token, f.addrID
	// Id 0 is the first subflow's; that of another one is 0 when no event has told it.
	known := f.established && (id != 0 || f.initial) && !c.sharesID(f)
	lastWord := known && !f.initial && !e.hasOlder(c, f)
	if known && !f.initial && !lastWord {
		_ = e.cmds.Remove(ctx, token, id)
	}
	if !e.destroy(ctx, c, f, reason, why, now) {
		return false
	}
	if lastWord && e.cmds.Announce(ctx, token, mptcppm.Endpoint{ID: id, Addr: f.local.Addr().Unmap()}) != nil {
		return true
	}
	if known && (f.initial || lastWord) {
		_ = e.cmds.Remove(ctx, token, id)
	}
	return true
}

// hasOlder reports whether a connection has an established subflow that is
// older than f, on a path that is up.
func (e *Engine) hasOlder(c *connection, f *subflow) bool {
	for _, o := range c.subflows {
		if _, up := e.upAt[o.path]; o.id < f.id && o.established && up {
			return true
		}
	}
	return false
}

// sharesID reports whether another established subflow has the address id of f.
func (c *connection) sharesID(f *subflow) bool {
	for _, o := range c.subflows {
		if o != f && o.established && o.addrID == f.addrID {
			return true
		}
	}
	return false
}
