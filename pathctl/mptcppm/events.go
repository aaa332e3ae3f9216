package mptcppm

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"math"
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

// Events is the stream of a network namespace's MPTCP events. Receive and All
// are for one goroutine; Close may be called by another.
type Events struct {
	conn    *genetlink.Conn
	family  uint16
	pending []Event
	lost    error // to be reported before pending
	closed  atomic.Bool
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
	return newEvents(conn, family.ID), nil
}

func newEvents(conn *genetlink.Conn, family uint16) *Events {
	return &Events{conn: conn, family: family}
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

// Receive waits for the next event, until ctx ends. An error that matches
// ErrEventsLost is a gap: call again. Every other one is final, or the
// context's. Events of a kind that this package does not know are delivered.
func (e *Events) Receive(ctx context.Context) (Event, error) {
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
		if err := e.fill(ctx); err != nil {
			return Event{}, err
		}
	}
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
func (e *Events) fill(ctx context.Context) error {
	op := operation{name: "receive event"}
	msgs, err := e.receive(ctx)
	switch {
	case errors.Is(err, syscall.ENOBUFS):
		return &OpError{Op: op.name, Kind: ErrEventsLost, Err: syscall.ENOBUFS}
	case err != nil && ctx.Err() != nil:
		return op.fail(nil, ctx.Err())
	case err != nil && e.closed.Load(): // the socket's own error for it has no name
		return op.fail(nil, fs.ErrClosed)
	case err != nil:
		return op.fail(nil, err)
	}
	for _, m := range msgs {
		ev, err := decodeEvent(EventKind(m.Header.Command), m.Data)
		if err != nil {
			e.lost = &OpError{Op: op.name, Kind: ErrEventsLost, Err: err}
			continue
		}
		e.pending = append(e.pending, ev)
	}
	return nil
}

// receive waits for one datagram, with the context as deadline.
func (e *Events) receive(ctx context.Context) ([]genetlink.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := e.conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = e.conn.SetReadDeadline(time.Unix(1, 0))
	})
	msgs, headers, err := e.conn.Receive()
	if !stop() {
		<-interrupted // so that it cannot hit a later call
	}
	if err != nil {
		return nil, err
	}
	ours := msgs[:0]
	for i, m := range msgs {
		if uint16(headers[i].Header.Type) == e.family {
			ours = append(ours, m)
		}
	}
	return ours, nil
}
