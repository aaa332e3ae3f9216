package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"mpproxy/mptcpsock"
	"mpproxy/pathctl/engine"
)

// A Conn is a connection with the calls that change its subflows. A Dialer and a
// Listener of this package make them; &Conn{Conn: c} makes one of a connection of
// package mptcpsock, which Controller.Attach takes under control. All methods may
// be called from several goroutines at once.
type Conn struct {
	*mptcpsock.Conn
	attached atomic.Pointer[attachment] // nil: no Controller
	rules    *subRules                  // of Dialer.SubOptions; nil: none
}

// Close closes the connection. Its Controller forgets it.
func (c *Conn) Close() error {
	if a := c.attached.Load(); a != nil {
		a.closing.Do(func() { a.ctl.detach(a.rec) })
	}
	return errors.Join(c.Conn.Close(), c.rules.remove())
}

// SubIDs lists the connection's subflows as mptcpsock.Conn.SubIDs does. With a
// Controller it tells their priorities, too.
func (c *Conn) SubIDs() ([]SubStatus, error) {
	all, err := c.Conn.SubIDs()
	a := c.attached.Load()
	if err != nil || a == nil {
		return all, err
	}
	a.ctl.mu.Lock()
	defer a.ctl.mu.Unlock()
	for i := range all {
		if f, ok := a.rec.known(all[i].Pair); ok && !a.ctl.closed {
			all[i].Backup, all[i].PeerBackup, all[i].PriorityKnown = f.Backup, f.PeerBackup, true
		}
	}
	return all, nil
}

// control runs f on the descriptor, which stays open meanwhile. It fails with
// net.ErrClosed after Close.
func (c *Conn) control(f func(fd int)) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return rc.Control(func(fd uintptr) { f(int(fd)) })
}

// alive returns net.ErrClosed, wrapped, when the connection is closed.
func (c *Conn) alive() error { return c.control(func(int) {}) }

// attachment joins a connection with its Controller.
type attachment struct {
	ctl     *Controller
	rec     *record
	closing sync.Once

	mu       sync.Mutex // one change of the steering at a time
	steering Steering
}

// operation is one call that changes a connection's subflows.
type operation struct {
	*attachment
	conn *Conn
	name string
	on   string
}

// begin finds the connection's Controller. The error is one of ErrNoController,
// ErrNotMultipath and net.ErrClosed.
func (c *Conn) begin(name, on string) (operation, error) {
	op := operation{conn: c, name: name, on: on}
	if err := c.alive(); err != nil {
		return op, op.fail(net.ErrClosed)
	}
	if multipath, err := c.IsMultipath(); err != nil || !multipath {
		if err == nil {
			err = ErrNotMultipath
		}
		return op, op.fail(err)
	}
	op.attachment = c.attached.Load()
	if op.attachment == nil {
		return op, op.fail(ErrNoController)
	}
	op.ctl.mu.Lock()
	closed := op.ctl.closed
	op.ctl.mu.Unlock()
	if closed {
		return op, op.fail(ErrNoController)
	}
	return op, nil
}

// beginManual is begin for what a mode would undo.
func (c *Conn) beginManual(name, on string) (operation, error) {
	op, err := c.begin(name, on)
	if err != nil {
		return op, err
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	if !op.steering.manual() {
		return op, op.fail(fmt.Errorf("%w (%s)", ErrSteered, op.steering.Mode.Name))
	}
	return op, nil
}

// engine is what changes the connection's subflows.
func (op operation) engine() engine.Handle { return op.ctl.app.Handle(op.rec.token) }

func (op operation) fail(err error) error {
	if err == nil {
		return nil
	}
	e := &OpError{Op: op.name, On: op.on, Err: translate(err)}
	if op.attachment != nil {
		e.Token = op.rec.token
	}
	return e
}

// await waits until look, called with the record locked, says that it is done.
func (op operation) await(ctx context.Context, look func() (done bool, err error)) error {
	for {
		op.ctl.mu.Lock()
		done, err := look()
		closed, gone, changed := op.ctl.closed, op.rec.conn == nil, op.rec.changed
		op.ctl.mu.Unlock()
		switch {
		case done || err != nil:
			return err
		case gone:
			return net.ErrClosed
		case closed:
			return ErrNoController
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// joinable waits until subflows can join: the client must have heard from the
// peer after the handshake (RFC 8684 section 3.1).
func (op operation) joinable(ctx context.Context) error {
	err := op.await(ctx, func() (bool, error) { return op.rec.joinable(), nil })
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: nothing has come from the peer since the handshake, so no subflow can join yet: %w", ErrNotEstablished, err)
	}
	return err
}
