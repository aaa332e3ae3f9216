package subopt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// MaxRulesPerScope bounds the rules for one cookie or one local port. One of TOS
// counts twice unless an address says which IP version it is for.
const MaxRulesPerScope = 16

// ErrTooManyRules says that there are as many rules as there may be: for one
// cookie or local port MaxRulesPerScope, cookies and ports together 65,536.
var ErrTooManyRules = errors.New("too many rules")

// An entry is a rule as the program reads it, numbers in host order. The offsets
// in bytes:
const (
	entryWant   = 0
	entryMask   = endsSize
	entryLevel  = 2 * endsSize
	entryCode   = entryLevel + 4
	entryLength = entryCode + 4 // of the value; 0 ends the list
	entryID     = entryLength + 4
	entryValue  = entryID + 4
	entrySize   = entryValue + valueSize
)

type entry [entrySize]byte

func newEntry(p pattern, s spec, v Value, id uint32) (e entry, err error) {
	value, length, err := s.encode(v)
	if err != nil {
		return entry{}, err
	}
	copy(e[entryWant:], p.want[:])
	copy(e[entryMask:], p.mask[:])
	copy(e[entryValue:], value[:])
	for at, n := range map[int]uint32{entryLevel: s.level, entryCode: s.code, entryLength: length, entryID: id} {
		binary.NativeEndian.PutUint32(e[at:], n)
	}
	return e, nil
}

func (e entry) id() uint32 { return binary.NativeEndian.Uint32(e[entryID:]) }

// newEntries makes those of a rule: one, or two where the option has another
// name over IPv6.
func newEntries(m Match, o Option, v Value, id uint32) ([]entry, error) {
	if _, ok := specs[o]; !ok {
		return nil, fmt.Errorf("%w: there is no such option", ErrInvalid)
	}
	over, err := m.patterns()
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, ipv6 := range []bool{false, true} {
		p, ok := over[ipv6]
		if !ok {
			continue
		}
		if o.over(false) == o.over(true) { // one rule for both versions
			binary.NativeEndian.PutUint32(p.mask[endsIPv6:], 0)
			p.want.setIPv6(false)
		}
		e, err := newEntry(p, o.over(ipv6), v, id)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(entries, e) {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// list is the value of a scope in the map.
func list(entries []entry) []byte {
	b := make([]byte, MaxRulesPerScope*entrySize)
	for i, e := range entries {
		copy(b[i*entrySize:], e[:])
	}
	return b
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

// A tally is what the program counts for a rule, numbers in host order: subflows
// to which it was applied, those of which it failed, and the last errno, negative.
// The offsets in bytes:
const (
	tallyApplied = 0
	tallyFailed  = 8
	tallyAnswer  = 16
	tallySize    = 24
)

func decodeTally(b []byte, o Option) (Outcome, error) {
	if len(b) != tallySize {
		return Outcome{}, fmt.Errorf("subopt: a tally of %d bytes, want %d", len(b), tallySize)
	}
	t := Outcome{
		Applied: binary.NativeEndian.Uint64(b[tallyApplied:]),
		Failed:  binary.NativeEndian.Uint64(b[tallyFailed:]),
	}
	level := o.over(false).level
	answer := int32(binary.NativeEndian.Uint64(b[tallyAnswer:]))
	if o == TOS && answer != -int32(unix.EINVAL) {
		level = o.over(true).level
	}
	t.Err = explain(o, level, answer)
	return t, nil
}
