package engine

import (
	"cmp"
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/subflowbpf"
)

// onEvent takes an event of the kernel into account.
func (e *Engine) onEvent(ctx context.Context, ev mptcppm.Event, now time.Time) {
	switch ev.Kind {
	case mptcppm.EventListenerCreated, mptcppm.EventListenerClosed:
		return
	case mptcppm.EventClosed:
		e.forget(ev.Token)
		return
	}
	c := e.conns[ev.Token]
	begins := ev.Kind == mptcppm.EventCreated || ev.Kind == mptcppm.EventEstablished
	switch {
	case c == nil && !begins:
		// From before we took over, or from its last moments: the kernel tells of
		// the end when the program closes it, and subflows may outlive that.
		return
	case c == nil:
		c = e.connection(ev.Token, now)
	}
	c.applyEvent(ev)
	if ev.Kind == mptcppm.EventSubflowEstablished && e.refuseSubflow(ctx, c, ev) {
		return
	}
	switch ev.Kind {
	case mptcppm.EventCreated, mptcppm.EventEstablished:
		e.begin(ctx, c, ev, now)
	case mptcppm.EventSubflowEstablished:
		e.readBack(ctx, c, e.subflowUp(c, ev, now))
	case mptcppm.EventSubflowClosed:
		e.subflowDown(c, ev, now)
	case mptcppm.EventRemoved:
		if c.ours {
			e.addressRemoved(ctx, c, ev.RemoteID, now)
		}
	case mptcppm.EventSubflowPriority:
		if f := c.find(ev.Local, ev.Remote); f != nil {
			f.peerBackup = ev.Backup
		}
	}
	if c.untouched() {
		e.examine(ctx, c, now) // before those that are due
	} else {
		e.lookSoon(c, now)
	}
	c.tell(ev)
}

// begin records a connection's first subflow. A concentrator announces its
// other addresses to a client that may need them.
func (e *Engine) begin(ctx context.Context, c *connection, ev mptcppm.Event, now time.Time) {
	f := c.addSubflow(ev.Local, ev.Remote, e.pathOn(c, ev.Local.Addr(), ev.Remote.Addr(), c.reg.Device), now)
	f.device = c.reg.Device                 // the event does not tell
	f.local, f.remote = ev.Local, ev.Remote // a reading has them unmapped
	f.initial, f.established = true, true
	if ev.Kind != mptcppm.EventEstablished || !c.server {
		return
	}
	for i, a := range e.announce {
		if a == ev.Local.Addr().Unmap() {
			continue
		}
		if err := e.cmds.Announce(ctx, ev.Token, mptcppm.Endpoint{ID: mptcppm.FirstConcentratorID + uapi.AddrID(i), Addr: a}); err != nil {
			e.log.Debug("cannot announce an address", "address", a, "error", err)
		}
	}
}

func (e *Engine) subflowUp(c *connection, ev mptcppm.Event, now time.Time) *subflow {
	f := c.adopt(ev.Local, ev.Remote, ev.IfIndex)
	if f == nil {
		f = c.addSubflow(ev.Local, ev.Remote, e.pathOn(c, ev.Local.Addr(), ev.Remote.Addr(), ev.IfIndex), now)
	}
	f.device = cmp.Or(ev.IfIndex, f.device)
	f.local, f.remote, f.addrID, f.remoteID = ev.Local, ev.Remote, ev.LocalID, ev.RemoteID
	f.established, f.since = true, now
	c.joinedAt, c.refusedAt, c.unknown = now, time.Time{}, false
	f.peerBackup = ev.Backup && !f.backup
	if c.reg.Role == policy.Client && c.ours {
		recovered := e.stateOf(f.path).Learn(pathstate.Established, now)
		e.recovered(c, f.path, recovered, "a subflow was established", now)
	}
	return f
}

func (e *Engine) subflowDown(c *connection, ev mptcppm.Event, now time.Time) {
	end, ok := c.takeEnded(ev.Local, ev.Remote)
	if !ok {
		return // we destroyed it
	}
	// Closed in good order while the connection goes on: the peer's sending on
	// this path fails.
	why := "the peer closed the subflow"
	var errno error
	if ev.Errno != 0 {
		why, errno = "the subflow ended: "+ev.Errno.Error(), ev.Errno
	}
	e.decide(c, ActionFailed, end.path, reasonOf(kindOf(errno)), why)
	// Another program's peer says nothing about our path to the concentrator, nor
	// does ours when it gave up one of several subflows there.
	gaveUp := errno == nil && now.Sub(end.since) >= refusedWithin && c.worksOn(end.path)
	kind := troubleOf(end, errno, now)
	if kind == pathstate.JoinRefused && !end.established {
		c.doubt(now)
	}
	if kind == pathstate.JoinRefused && c.refusedAgain(end.path, e.stateOf(end.path).JoinedAt, now) {
		return
	}
	if c.ours && !gaveUp {
		e.pathFailed(end.path, kind, why, end.since, now)
	}
}

// onTimeout takes an expired retransmission timer into account: the connection
// is looked at now, not at its next turn.
func (e *Engine) onTimeout(ev subflowbpf.Event, now time.Time) {
	c := e.conns[ev.Token]
	if c == nil || !c.ours {
		return
	}
	switch ev.Kind {
	case subflowbpf.Timeout:
		if f := c.find(ev.Local, ev.Remote); f != nil {
			f.obs.Timeout(ev.Retransmits)
		}
		c.urgent = true
		e.queue.sooner(c, now)
	case subflowbpf.Retransmit:
		c.urgent = true
		e.queue.sooner(c, now.Add(lookUrgent))
	}
}

// Made is what the kernel made of a subflow that was asked for.
type Made struct {
	// Backup says that our end has told the peer to use it as a backup.
	Backup bool
	// Device is the index of the interface that it is bound to; 0: to none.
	Device int
}

// Ignored is what this kernel was seen to ignore of what CreateSubflow asks for.
// Linux 6.1 ignores both (mptcp_nl_cmd_sf_create takes the address alone).
type Ignored struct{ Backup, Device bool }

// ignored is Ignored that the engine's goroutine writes and others read.
type ignored struct{ backup, device atomic.Bool }

// Ignored returns what the kernel was seen to ignore so far.
func (e *Engine) Ignored() Ignored {
	return Ignored{Backup: e.ignored.backup.Load(), Device: e.ignored.device.Load()}
}

// readBack finds out what the kernel made of a subflow that we asked for and that is
// established now. A backup that is none becomes one by MP_PRIO (RFC 8684, section
// 3.3.8): the scheduler uses it until then, for a round trip at most. A subflow
// without its interface goes where the routing rules for its address lead it.
func (e *Engine) readBack(ctx context.Context, c *connection, f *subflow) {
	if e.made == nil || !f.asked {
		return
	}
	f.asked = false
	made, err := e.made(ctx, f.local, f.remote)
	if err != nil {
		e.log.Debug("cannot read what the kernel made of a subflow", "path", f.path, "error", err)
		return
	}
	if f.device != 0 && made.Device == 0 {
		f.device = 0
		if !e.ignored.device.Swap(true) {
			e.log.Info("this kernel does not bind new subflows to their interface: routing rules for source addresses lead them", "path", f.path)
		}
	}
	if !f.backup || made.Backup {
		return
	}
	if !e.ignored.backup.Swap(true) {
		e.log.Info("this kernel ignores that a new subflow is to be a backup: each is made one as soon as it is established", "path", f.path)
	}
	err = e.onSubflow(f, func(local, remote netip.AddrPort) error {
		return e.cmds.SetSubflowBackup(ctx, c.reg.Token, local, remote, true)
	})
	if err != nil {
		f.backup = false // and the plan asks for it again
		e.log.Debug("cannot make a new subflow a backup", "path", f.path, "error", err)
	}
}
