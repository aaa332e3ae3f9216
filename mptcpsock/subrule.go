package mptcpsock

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock/subopt"
)

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
