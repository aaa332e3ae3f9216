package mptcppm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mdlayher/genetlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// DefaultReadBuffer holds a few thousand events: the kernel charges about 1 KiB
// for each, whatever its length.
const DefaultReadBuffer = 4 << 20

// eventBuffer is room for one datagram. An event takes less than 200 bytes.
const eventBuffer = 8 << 10

// Events is the stream of a network namespace's MPTCP events. Next, Receive and
// All are for one goroutine; SetDeadline and Close may be called by others.
type Events struct {
	conn    eventSocket
	raw     syscall.RawConn
	family  uint16
	buf     []byte // of one datagram
	pending []Event
	lost    error // to be reported before pending
	closed  atomic.Bool
}

// eventSocket is what is used of a *genetlink.Conn.
type eventSocket interface {
	syscall.Conn
	SetReadDeadline(t time.Time) error
	Close() error
}

// DialEvents opens a socket and joins the group mptcp_pm_events. That needs
// CAP_NET_ADMIN, later use does not. Keep one open where incoming MP_JOINs are
// wanted: the kernel asks for a listener of this group before it takes one for a
// connection of the user-space path manager (genl_has_listeners, which looks at
// the whole machine, so that others' sockets may hide a missing one).
// Fails with ErrPermission, ErrNotSupported.
func DialEvents(cfg *Config) (*Events, error) {
	c := cfg.orDefault()
	conn, family, err := c.dial(eventBuffer)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(leaveOut(conn, c.Without), joinEvents(conn, family, c.ReadBuffer)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	e, err := newEvents(conn, family.ID)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return e, nil
}

func newEvents(conn eventSocket, family uint16) (*Events, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, &OpError{Op: "open socket", Err: err}
	}
	return &Events{conn: conn, raw: raw, family: family, buf: make([]byte, eventBuffer)}, nil
}

// leaveOut has the kernel drop events of some kinds: the command of a generic
// netlink message follows its netlink header of 16 bytes, and each event is a
// datagram of its own.
func leaveOut(conn *genetlink.Conn, kinds []EventKind) error {
	if len(kinds) == 0 {
		return nil
	}
	program := []bpf.Instruction{bpf.LoadAbsolute{Off: unix.NLMSG_HDRLEN, Size: 1}}
	for i, k := range kinds {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(k), SkipTrue: uint8(len(kinds) - i)})
	}
	program = append(program, bpf.RetConstant{Val: math.MaxUint32}, bpf.RetConstant{Val: 0})
	raw, err := bpf.Assemble(program)
	if err == nil {
		err = conn.SetBPF(raw)
	}
	if err != nil {
		return operation{name: "leave out events"}.fail(nil, err)
	}
	return nil
}

// joinEvents enlarges the buffer before the first event can arrive.
func joinEvents(conn *genetlink.Conn, family genetlink.Family, buffer int) error {
	op := operation{name: "join " + eventsGroup, since: "5.12"}
	for _, g := range family.Groups {
		if g.Name != eventsGroup {
			continue
		}
		if err := conn.SetReadBuffer(buffer); err != nil {
			return op.fail(nil, err)
		}
		if err := conn.JoinGroup(g.ID); err != nil {
			e := op.fail(nil, err).(*OpError)
			if errors.Is(err, fs.ErrPermission) {
				e.Kind = ErrPermission
			}
			return e
		}
		return nil
	}
	return &OpError{Op: op.name, Kind: &NotSupportedError{Feature: "MPTCP events", MinKernel: op.since}}
}

// Close closes the socket; a waiting Receive ends with fs.ErrClosed.
func (e *Events) Close() error {
	e.closed.Store(true)
	return e.conn.Close()
}

// SetDeadline has Next give up at t, also one that waits already; the zero Time
// lets it wait for ever. Receive and All set deadlines of their own.
func (e *Events) SetDeadline(t time.Time) error {
	return e.fail(operation{name: "set a deadline"}, e.conn.SetReadDeadline(t))
}

// fail makes an error of the socket one of this package. Its own error for one
// that is closed has no name.
func (e *Events) fail(op operation, err error) error {
	switch {
	case err == nil:
		return nil
	case e.closed.Load():
		return op.fail(nil, fs.ErrClosed)
	}
	return op.fail(nil, err)
}

// Next waits for the next event, until the deadline: then the error is
// os.ErrDeadlineExceeded, and the next call goes on. What has arrived is given
// even when the deadline has passed. An error that matches
// ErrEventsLost is a gap: call again. Every other one is final. Events of a kind
// that this package does not know are delivered.
func (e *Events) Next() (Event, error) {
	for {
		if err := e.lost; err != nil {
			e.lost = nil
			return Event{}, err
		}
		if len(e.pending) > 0 {
			next := e.pending[0]
			e.pending = e.pending[1:]
			return next, nil
		}
		if err := e.fill(); err != nil {
			return Event{}, err
		}
	}
}

// Receive is Next until ctx ends, whose error is that of the context then.
func (e *Events) Receive(ctx context.Context) (Event, error) {
	if err := ctx.Err(); err != nil {
		return Event{}, err
	}
	if err := e.SetDeadline(time.Time{}); err != nil {
		return Event{}, err
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = e.SetDeadline(time.Unix(1, 0))
	})
	ev, err := e.Next()
	if !stop() {
		<-interrupted // so that it cannot hit a later call
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return Event{}, operation{name: "receive event"}.fail(nil, ctx.Err())
	}
	return ev, err
}

// All yields events and gaps, as Receive gives them, until ctx ends or the
// socket fails; the error that ended it is the last that is yielded.
func (e *Events) All(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			ev, err := e.Receive(ctx)
			if !yield(ev, err) || (err != nil && !errors.Is(err, ErrEventsLost)) {
				return
			}
		}
	}
}

// fill reads one datagram into pending.
func (e *Events) fill() error {
	op := operation{name: "receive event"}
	n, err := e.read()
	switch {
	case errors.Is(err, syscall.ENOBUFS):
		return &OpError{Op: op.name, Kind: ErrEventsLost, Err: syscall.ENOBUFS}
	case err != nil:
		return e.fail(op, err)
	}
	if err := e.decode(e.buf[:n]); err != nil {
		e.lost = &OpError{Op: op.name, Kind: ErrEventsLost, Err: err}
	}
	return nil
}

// read waits for a datagram. It asks first for one that is there: a deadline
// that keeps passing, because there is other work, must not keep events away.
func (e *Events) read() (n int, err error) {
	attempt := func(fd uintptr) bool {
		for {
			n, err = unix.Read(int(fd), e.buf)
			if !errors.Is(err, unix.EINTR) {
				return !errors.Is(err, unix.EAGAIN)
			}
		}
	}
	arrived := false
	if err := e.raw.Control(func(fd uintptr) { arrived = attempt(fd) }); err != nil {
		return 0, err
	}
	if !arrived {
		if err := e.raw.Read(attempt); err != nil {
			return 0, err
		}
	}
	return n, err
}

// decode takes the events of a datagram: netlink messages, each with a generic
// netlink header. Messages of other families are answers to what was asked when
// the socket was opened.
func (e *Events) decode(b []byte) (err error) {
	const header, genericHeader = unix.NLMSG_HDRLEN, unix.GENL_HDRLEN
	for len(b) >= header {
		length := int(binary.NativeEndian.Uint32(b))
		family := binary.NativeEndian.Uint16(b[4:])
		if length < header || length > len(b) {
			return fmt.Errorf("a message of %d bytes in %d: %w", length, len(b), errMalformed)
		}
		m := b[header:length]
		b = b[min((length+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), len(b)):]
		if family != e.family || len(m) < genericHeader {
			continue
		}
		ev, bad := decodeEvent(EventKind(m[0]), m[genericHeader:])
		if bad != nil {
			err = bad
			continue
		}
		e.pending = append(e.pending, ev)
	}
	return err
}
