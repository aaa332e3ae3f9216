package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

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

func subError(verb string, o subopt.Option, id uapi.SubflowID, err error) error {
	if err == nil {
		return nil
	}
	return &OpError{Op: fmt.Sprintf("%s %v of subflow", verb, o), On: fmt.Sprint(id), Err: translate(err)}
}

// onSetter calls f with a subflow's ends.
func (c *Conn) onSetter(id uapi.SubflowID, f func(*subopt.Setter, Pair) error) error {
	sub, err := c.Subflow(id)
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
	return errors.Join(f(s, sub.Pair()), done())
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

// A SubOption is a socket option that a subflow has from its first packet on.
type SubOption struct {
	Option subopt.Option
	Value  subopt.Value
	// Local and Remote narrow Dialer.SubOptions to the subflows between these
	// ends: an invalid address or port 0 is any. OpenSub sets them itself.
	Local, Remote netip.AddrPort
}

// subRules are the rules in force for one connection.
type subRules struct {
	mu     sync.Mutex
	rules  []*subopt.Rule
	closed bool
}

// add puts options into force for the subflows of a socket that begin from now
// on.
func (r *subRules) add(s *subopt.Setter, cookie uint64, options []SubOption) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	for _, o := range options {
		rule, err := s.SetOnConnect(subopt.Match{Cookie: cookie, Local: o.Local, Remote: o.Remote}, o.Option, o.Value)
		if err != nil {
			return err
		}
		r.rules = append(r.rules, rule)
	}
	return nil
}

// remove ends the rules; the options that are set stay.
func (r *subRules) remove() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	var errs []error
	for _, rule := range r.rules {
		errs = append(errs, rule.Remove())
	}
	r.rules = nil
	return errors.Join(errs...)
}

// birthRules put a Dialer's SubOptions into force for each socket that it tries,
// before it connects: the options hold from the SYN on. Of several sockets one
// becomes the connection, and keeps its rules.
type birthRules struct {
	setter  *subopt.Setter
	options []SubOption

	mu    sync.Mutex
	tried map[uint64]*subRules // by the socket's cookie
	done  bool
}

// rules prepares SubOptions for a dial; nil when there are none.
func (d *Dialer) rules() (*birthRules, error) {
	if len(d.SubOptions) == 0 || d.disabled() {
		return nil, nil
	}
	s, err := d.Controller.setter.get()
	if err != nil {
		return nil, translate(err)
	}
	return &birthRules{setter: s, options: d.SubOptions, tried: make(map[uint64]*subRules)}, nil
}

// control is the Control of a mptcpsock.Dialer.
func (b *birthRules) control() func(fd int) error {
	if b == nil {
		return nil
	}
	return b.born
}

func (b *birthRules) born(fd int) error {
	cookie, err := cookieOf(fd)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done {
		return net.ErrClosed // another socket was faster
	}
	r := &subRules{}
	b.tried[cookie] = r
	return translate(r.add(b.setter, cookie, b.options))
}

// keep gives the connection the rules of its socket and ends those of the other
// sockets; winner is nil when the dial failed. The error is that of an
// option that the kernel has refused.
func (b *birthRules) keep(winner *Conn) error {
	if b == nil {
		return nil
	}
	var cookie uint64
	var errs []error
	if winner != nil {
		var err error
		cerr := winner.control(func(fd int) { cookie, err = cookieOf(fd) })
		errs = append(errs, cerr, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
	for at, r := range b.tried {
		if winner != nil && at == cookie {
			winner.rules = r
			errs = append(errs, r.outcome())
			continue
		}
		errs = append(errs, r.remove())
	}
	return errors.Join(errs...)
}

// outcome is what the kernel said when the rules were applied.
func (r *subRules) outcome() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, rule := range r.rules {
		o, err := rule.Outcome()
		if err == nil {
			err = o.Err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// cookieOf returns the number that a socket has for its life.
func cookieOf(fd int) (uint64, error) {
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil {
		return 0, fmt.Errorf("SO_COOKIE: %w", err)
	}
	return cookie, nil
}

// rulesFor puts options into force for one subflow of the connection.
func (op operation) rulesFor(local, remote netip.AddrPort, options []SubOption) (*subRules, error) {
	if len(options) == 0 {
		return &subRules{}, nil
	}
	s, err := op.ctl.setter.get()
	if err != nil {
		return nil, err
	}
	var cookie uint64
	var cerr error
	if err := op.conn.control(func(fd int) { cookie, cerr = cookieOf(fd) }); err != nil || cerr != nil {
		return nil, errors.Join(err, cerr)
	}
	narrowed := make([]SubOption, 0, len(options))
	for _, o := range options {
		o.Local, o.Remote = local, remote
		narrowed = append(narrowed, o)
	}
	r := &subRules{}
	if err := r.add(s, cookie, narrowed); err != nil {
		return nil, errors.Join(err, r.remove())
	}
	return r, nil
}
