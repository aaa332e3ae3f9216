package subopt

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// MaxRulesPerScope bounds the rules for one cookie or one local port, as
// RULES_PER_SCOPE does in subopt.bpf.c. A rule for TOS counts twice unless an
// address says which IP version it is for.
const MaxRulesPerScope = 16

// ErrTooManyRules says that there are as many rules as there may be: for one
// cookie or local port MaxRulesPerScope, cookies and ports together 65,536.
var ErrTooManyRules = errors.New("too many rules")

// newRule makes one as the program reads it.
func newRule(p pattern, s spec, v Value, id uint32) (suboptRule, error) {
	value, length, err := s.encode(v)
	if err != nil {
		return suboptRule{}, err
	}
	return suboptRule{Want: p.want, Mask: p.mask, Level: s.level, Code: s.code, Length: length, Id: id, Value: value}, nil
}

// newRules makes what the program reads of a rule: one, or two where the option has
// another name over IPv6.
func newRules(m Match, o Option, v Value, id uint32) ([]suboptRule, error) {
	if _, ok := specs[o]; !ok {
		return nil, fmt.Errorf("%w: there is no such option", ErrInvalid)
	}
	over, err := m.patterns()
	if err != nil {
		return nil, err
	}
	var rules []suboptRule
	for _, ipv6 := range []bool{false, true} {
		p, ok := over[ipv6]
		if !ok {
			continue
		}
		if o.over(false) == o.over(true) { // one rule for both versions
			p.want.Ipv6, p.mask.Ipv6 = 0, 0
		}
		r, err := newRule(p, o.over(ipv6), v, id)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(rules, r) {
			rules = append(rules, r)
		}
	}
	return rules, nil
}

// A Rule is in force until it is removed, or the Setter is closed.
type Rule struct {
	hook   *hook
	id     uint32
	scope  scope
	option Option
	remove sync.Once
	err    error
}

// Outcome is what has become of a rule so far.
type Outcome struct {
	// Applied and Failed count subflows to which the value was given, and
	// those of which the kernel did not take it.
	Applied, Failed uint64
	// Err is why the last one failed; an error like that of Setter.Set.
	Err error
}

// Outcome returns what has become of the rule. The error matches ErrClosed after
// Remove or Close.
func (r *Rule) Outcome() (Outcome, error) { return r.hook.outcome(r) }

// Remove ends the rule; options that are set stay. To do so again is fine.
func (r *Rule) Remove() error {
	r.remove.Do(func() { r.err = r.hook.removeRule(r) })
	return r.err
}

// outcome puts a tally into words.
func (t suboptTally) outcome(o Option) Outcome {
	level, answer := o.over(false).level, int32(t.Answer)
	if o == TOS && answer != -int32(unix.EINVAL) {
		level = o.over(true).level
	}
	return Outcome{Applied: t.Applied, Failed: t.Failed, Err: explain(o, level, answer)}
}
