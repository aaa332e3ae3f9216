package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
)

// A Handle changes the subflows of one registered connection at the wish of the
// program that it belongs to. The engine's goroutine carries the calls out, so
// that its table knows of them; each waits for that and returns the kernel's
// answer, not the outcome, which a Notice tells.
//
// The errors are those of package mptcppm, mptcppm.ErrNoConnection for a
// connection that is not registered, ctx's when it ended before the call's turn,
// and fs.ErrClosed when the engine has stopped.
type Handle struct {
	engine *Engine
	token  uapi.Token
}

// do has the engine's goroutine call f with the connection. Once the call is
// posted its turn comes soon, so do waits for it whatever becomes of ctx: a subflow
// that was created is never left without anybody knowing.
func (h Handle) do(ctx context.Context, f func(c *connection, now time.Time) error) error {
	answer := make(chan error, 1)
	call := func(now time.Time) {
		c := h.engine.conns[h.token]
		switch {
		case ctx.Err() != nil:
			answer <- ctx.Err()
		case c == nil || !c.ours:
			answer <- fmt.Errorf("%w: it is not registered", mptcppm.ErrNoConnection)
		default:
			err := f(c, now)
			c.tell(mptcppm.Event{})
			answer <- err
		}
	}
	select {
	case h.engine.inbox <- call:
		h.engine.wake()
	case <-h.engine.ended:
		return fs.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-h.engine.ended:
		return fs.ErrClosed
	}
}

// Create asks for a subflow between two ends, bound to an interface unless ifIndex
// is 0. Local port 0 lets the kernel choose one. It returns the local end, whose
// port stays 0 when the attempt is over already.
func (h Handle) Create(ctx context.Context, local, remote netip.AddrPort, ifIndex int, backup bool) (netip.AddrPort, error) {
	err := h.do(ctx, func(c *connection, now time.Time) error {
		before, err := c.reg.Reader.Read() // what is new afterwards is this one
		if err != nil {
			return err
		}
		e := h.engine
		ep := mptcppm.Endpoint{ID: e.addrIDOn(c, local.Addr()), Addr: local.Addr(), Port: local.Port(), IfIndex: ifIndex}
		if backup {
			ep.Flags = mptcppm.FlagBackup
		}
		if err := e.cmds.CreateSubflow(ctx, h.token, ep, remote); err != nil {
			return err
		}
		after, err := c.reg.Reader.Read()
		if err != nil {
			return err
		}
		s, ok := newest(before, after, local, remote)
		if !ok {
			return nil
		}
		local = s.Local
		f := c.addSubflow(s.Local, s.Remote, e.pathOn(c, s.Local.Addr(), s.Remote.Addr(), ifIndex), now)
		f.asked, f.backup, f.addrID, f.device = true, backup, ep.ID, ifIndex
		return nil
	})
	return local, err
}

// newest finds the subflow between two ends that is in one reading and not in the
// one before.
func newest(before, after Reading, local, remote netip.AddrPort) (SubflowReading, bool) {
	old := make(map[subflowKey]bool, len(before.Subflows))
	for _, s := range before.Subflows {
		old[keyOf(s.Local, s.Remote)] = true
	}
	for _, s := range after.Subflows {
		fits := s.Local.Addr() == local.Addr() && s.Remote == remote && (local.Port() == 0 || local == s.Local)
		if fits && !old[keyOf(s.Local, s.Remote)] {
			return s, true
		}
	}
	return SubflowReading{}, false
}

// Destroy closes a subflow. What was under way on it is sent again on the others.
func (h Handle) Destroy(ctx context.Context, local, remote netip.AddrPort) error {
	return h.do(ctx, func(c *connection, now time.Time) error {
		f := c.named(local, remote)
		err := h.engine.onSubflow(f, func(local, remote netip.AddrPort) error {
			return h.engine.cmds.DestroySubflow(ctx, h.token, local, remote)
		})
		if err == nil {
			c.end(f, true, now)
		}
		return err
	})
}

// SetBackup makes a subflow a backup, or normal, and tells the peer (MP_PRIO).
func (h Handle) SetBackup(ctx context.Context, local, remote netip.AddrPort, backup bool) error {
	return h.do(ctx, func(c *connection, _ time.Time) error {
		f := c.named(local, remote)
		err := h.engine.onSubflow(f, func(local, remote netip.AddrPort) error {
			return h.engine.cmds.SetSubflowBackup(ctx, h.token, local, remote, backup)
		})
		if err == nil {
			f.backup = backup
		}
		return err
	})
}

// named returns the subflow with these ends; one that the table does not have is
// described for a command.
func (c *connection) named(local, remote netip.AddrPort) *subflow {
	if f := c.find(local, remote); f != nil {
		return f
	}
	return &subflow{local: local, remote: remote}
}

// Announce tells the peer about a local address (ADD_ADDR); port 0 stands for the
// connection's. It returns the id that the address has.
func (h Handle) Announce(ctx context.Context, a netip.AddrPort) (id uapi.AddrID, err error) {
	err = h.do(ctx, func(c *connection, _ time.Time) error {
		id = h.engine.addrIDOn(c, a.Addr())
		return h.engine.cmds.Announce(ctx, h.token, mptcppm.Endpoint{ID: id, Addr: a.Addr(), Port: a.Port()})
	})
	return id, err
}

// Withdraw tells the peer that an address is gone (RM_ADDR). An id that the kernel
// does not know is no error.
func (h Handle) Withdraw(ctx context.Context, id uapi.AddrID) error {
	err := h.do(ctx, func(*connection, time.Time) error { return h.engine.cmds.Remove(ctx, h.token, id) })
	if errors.Is(err, mptcppm.ErrNotFound) {
		return nil
	}
	return err
}

// addrIDOn returns the address id of a local address on a connection: that under
// which a subflow has it, since the kernel takes no second one, else that which it
// has everywhere.
func (e *Engine) addrIDOn(c *connection, a netip.Addr) uapi.AddrID {
	for _, f := range c.subflows {
		if f.addrID != 0 && f.local.Addr().Unmap() == a {
			return f.addrID
		}
	}
	return e.addrID(a)
}
