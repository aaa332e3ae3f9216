package subopt

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"mpproxy/internal/bpfenv"
)

// A Setter sets and reads options of subflows in the network namespace of the
// thread that called Open. Its methods may be called from many goroutines; walks
// take place one at a time.
type Setter struct {
	ns   *namespace
	tick time.Duration
	// turn holds one token, which whoever walks has; Close keeps it.
	turn   chan struct{}
	closed chan struct{}
	walker walker
	hook   hook
}

// Open loads the program that Set and Get use; SetOnConnect loads its own. The
// error matches ErrNotPermitted or ErrNotSupported where that is the reason.
func Open() (_ *Setter, err error) {
	s := &Setter{turn: make(chan struct{}, 1), closed: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = s.release()
			err = fmt.Errorf("subopt: socket options of a subflow (%s): %w", needs, bpfenv.ExplainDenial(err))
		}
	}()
	if s.ns, err = currentNamespace(); err != nil {
		return nil, err
	}
	if s.tick, err = bpfenv.TickLength(); err != nil {
		return nil, err
	}
	s.hook = hook{lists: make(map[scope][]suboptRule)}
	if s.hook.cookie, err = bpfenv.NetnsCookie(); err != nil {
		return nil, err
	}
	if err := s.walker.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// Set sets an option of the subflow between two ends, IPv4 addresses mapped or
// not. The error is an *Error and matches ErrNoSubflow, ErrInvalid,
// ErrUnknownCongestion, ErrNotSupported, ErrClosed or that of ctx.
func (s *Setter) Set(ctx context.Context, local, remote netip.AddrPort, o Option, v Value) error {
	if err := s.set(ctx, local, remote, o, v); err != nil {
		return &Error{Op: "set", Option: o, Local: local, Remote: remote, Err: err}
	}
	return nil
}

func (s *Setter) set(ctx context.Context, local, remote netip.AddrPort, o Option, v Value) error {
	e, spec, err := prepare(local, remote, o)
	if err != nil {
		return err
	}
	r, err := newSet(e, spec, v)
	if err != nil {
		return err
	}
	_, err = s.perform(ctx, r, o)
	return err
}

// Get reads an option of the subflow between two ends. What is set in steps (see
// the options) comes back as the kernel has rounded it. Errors are those of Set.
func (s *Setter) Get(ctx context.Context, local, remote netip.AddrPort, o Option) (Value, error) {
	v, err := s.get(ctx, local, remote, o)
	if err != nil {
		return Value{}, &Error{Op: "get", Option: o, Local: local, Remote: remote, Err: err}
	}
	return v, nil
}

func (s *Setter) get(ctx context.Context, local, remote netip.AddrPort, o Option) (Value, error) {
	e, spec, err := prepare(local, remote, o)
	if err != nil {
		return Value{}, err
	}
	r, err := s.perform(ctx, newGet(e, spec), o)
	if err != nil {
		return Value{}, err
	}
	return r.result(spec, s.tick), nil
}

// prepare checks what does not take the kernel.
func prepare(local, remote netip.AddrPort, o Option) (suboptEnds, spec, error) {
	if _, ok := specs[o]; !ok {
		return suboptEnds{}, spec{}, fmt.Errorf("%w: there is no such option", ErrInvalid)
	}
	e, ipv6, err := endsOf(local, remote)
	return e, o.over(ipv6), err
}

// perform takes a turn and walks.
func (s *Setter) perform(ctx context.Context, r suboptRequest, o Option) (suboptRequest, error) {
	if err := s.take(ctx); err != nil {
		return suboptRequest{}, err
	}
	defer s.give()
	r, err := s.walker.walk(ctx, s.ns, r)
	if err != nil {
		return suboptRequest{}, err
	}
	return r, explain(o, r.Level, r.Answer)
}

func (s *Setter) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	case s.turn <- struct{}{}:
		return nil
	}
}

func (s *Setter) give() { <-s.turn }

// Close takes the programs away, and with them the rules; options that are set
// stay. It waits for a walk that is under way. A second Close returns ErrClosed.
func (s *Setter) Close() error {
	if err := s.take(context.Background()); err != nil {
		return err
	}
	close(s.closed)
	return s.release() // and keeps the turn
}

// release undoes what Open did, as far as it came.
func (s *Setter) release() error {
	errs := []error{s.hook.close(), s.walker.close()}
	if s.ns != nil {
		errs = append(errs, s.ns.close())
	}
	return errors.Join(errs...)
}
