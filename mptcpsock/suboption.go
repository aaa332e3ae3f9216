package mptcpsock

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"mpproxy/mptcpsock/subdiag"
	"mpproxy/mptcpsock/subopt"
	"mpproxy/mptcpsock/uapi"
)

// SubSetsockopt sets a socket option on one subflow and leaves the others alone:
// congestion control, mark, TOS, least retransmission timeout and others of
// package subopt. It is HB16's MPTCP_SUB_SETSOCKOPT. The application's own
// SetsockoptInt on the connection sets an option on all subflows.
//
// It needs no Controller; one makes it cheaper. errors.Is tells ErrNotPermitted
// (it takes CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN), ErrNotSupported,
// ErrUnknownSubflow, ErrNotEstablished, ErrInvalid, subopt.ErrUnknownCongestion,
// net.ErrClosed.
func (c *Conn) SubSetsockopt(ctx context.Context, id uapi.SubflowID, o subopt.Option, v subopt.Value) error {
	err := c.onSetter(id, func(s *subopt.Setter, p Pair) error { return s.Set(ctx, p.Local, p.Remote, o, v) })
	return subError("set", o, id, err)
}

// SubGetsockopt reads a socket option of one subflow. It is HB16's
// MPTCP_SUB_GETSOCKOPT, with the errors of SubSetsockopt. Congestion control and
// TOS can be read without any privilege, and so can what SubTCPInfo has.
func (c *Conn) SubGetsockopt(ctx context.Context, id uapi.SubflowID, o subopt.Option) (v subopt.Value, err error) {
	err = c.onSetter(id, func(s *subopt.Setter, p Pair) (err error) {
		v, err = s.Get(ctx, p.Local, p.Remote, o)
		return err
	})
	if errors.Is(err, subopt.ErrNotPermitted) || errors.Is(err, subopt.ErrNotSupported) {
		if plain, ok := c.diagnose(ctx, id, o); ok {
			return plain, nil
		}
	}
	return v, subError("get", o, id, err)
}

// diagnose reads what the kernel tells everybody (sock_diag).
func (c *Conn) diagnose(ctx context.Context, id uapi.SubflowID, o subopt.Option) (subopt.Value, bool) {
	p, err := c.SubTuple(id)
	if err != nil || o != subopt.Congestion && o != subopt.TOS {
		return subopt.Value{}, false
	}
	r, err := subdiag.Read(ctx, p.Local, p.Remote)
	switch {
	case err != nil:
		return subopt.Value{}, false
	case o == subopt.Congestion:
		return subopt.Text(r.Congestion), true
	case p.Local.Addr().Is4():
		return subopt.Number(uint32(r.TOS)), true
	}
	return subopt.Number(uint32(r.TrafficClass)), true
}

// SubTCPInfo reads TCP_INFO of one subflow: round-trip times, timeout, windows,
// rates and counters. It needs no privilege and fails with ErrUnknownSubflow.
func (c *Conn) SubTCPInfo(id uapi.SubflowID) (uapi.TCPInfo, error) {
	s, err := c.subflow(id)
	if err != nil {
		return uapi.TCPInfo{}, &OpError{Op: "read TCP_INFO of subflow", On: fmt.Sprint(id), Err: err}
	}
	return s.TCP, nil
}

func subError(verb string, o subopt.Option, id uapi.SubflowID, err error) error {
	if err == nil {
		return nil
	}
	return &OpError{Op: fmt.Sprintf("%s %v of subflow", verb, o), On: fmt.Sprint(id), Err: translate(err)}
}

// onSetter calls f with a subflow's ends.
func (c *Conn) onSetter(id uapi.SubflowID, f func(*subopt.Setter, Pair) error) error {
	sub, err := c.subflow(id)
	if err != nil {
		return err
	}
	if sub.TCP.State != uapi.TCPEstablished {
		return ErrNotEstablished
	}
	s, done, err := c.setter()
	if err != nil {
		return err
	}
	return errors.Join(f(s, Pair{sub.Local, sub.Remote}), done())
}

// setter returns the Controller's Setter, or one for this call.
func (c *Conn) setter() (s *subopt.Setter, done func() error, err error) {
	if a := c.attached.Load(); a != nil {
		s, err := a.ctl.setter.get()
		if !errors.Is(err, ErrNoController) {
			return s, func() error { return nil }, err
		}
	}
	if s, err = subopt.Open(); err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

// sharedSetter is a Controller's Setter, opened when it is first needed.
type sharedSetter struct {
	mu     sync.Mutex
	setter *subopt.Setter
	closed bool
}

func (s *sharedSetter) get() (*subopt.Setter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrNoController
	}
	if s.setter == nil {
		var err error
		if s.setter, err = subopt.Open(); err != nil {
			return nil, err
		}
	}
	return s.setter, nil
}

func (s *sharedSetter) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.setter == nil {
		return nil
	}
	return s.setter.Close()
}
