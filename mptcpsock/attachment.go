package mptcpsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl"
)

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
	err := op.await(ctx, func() (bool, error) { return op.rec.established, nil })
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: nothing has come from the peer since the handshake, so no subflow can join yet: %w", ErrNotEstablished, err)
	}
	return err
}

// Reader returns what a controller of package pathctl reads of a connection.
func Reader(c *Conn) pathctl.Reader { return &reader{conn: c} }

type reader struct {
	conn   *Conn
	unsent int // the bound that was set; 0: none
}

func (r *reader) Read() (pathctl.Reading, error) {
	info, err := r.conn.Info()
	if err != nil {
		return pathctl.Reading{}, fmt.Errorf("reading a connection: %w", err)
	}
	subflows, err := r.conn.Subflows()
	if err != nil {
		return pathctl.Reading{}, fmt.Errorf("reading a connection: %w", err)
	}
	out := pathctl.Reading{Info: info, Subflows: make([]pathctl.SubflowReading, 0, len(subflows))}
	for _, f := range subflows {
		out.Subflows = append(out.Subflows, pathctl.SubflowReading{Local: f.Local, Remote: f.Remote, TCP: f.TCP})
	}
	return out, nil
}

// BoundUnsent sets TCP_NOTSENT_LOWAT of the connection as a whole (Linux 6.9;
// older kernels refuse), unless the program has set it.
func (r *reader) BoundUnsent(bytes int) error {
	raw, err := r.conn.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		var now int
		if now, err = unix.GetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_NOTSENT_LOWAT); err != nil {
			return
		}
		if now != r.unsent {
			err = fmt.Errorf("the program has set it to %d bytes", now)
			return
		}
		err = unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_NOTSENT_LOWAT, bytes)
	})
	if err = errors.Join(cerr, err); err != nil {
		return fmt.Errorf("bounding what a connection holds unsent: %w", err)
	}
	r.unsent = bytes
	return nil
}
