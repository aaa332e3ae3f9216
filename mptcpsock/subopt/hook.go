package subopt

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"mpproxy/internal/bpfenv"
)

// A hook is the program that applies rules, and the rules. It is loaded and
// attached with the first rule.
type hook struct {
	fields fields
	cookie uint64 // of the network namespace

	mu      sync.Mutex
	closed  bool
	rules   *ebpf.Map // nil until there was a rule
	tallies *ebpf.Map
	program *ebpf.Program
	link    link.Link
	lists   map[scope][]entry
	lastID  uint32
}

// SetOnConnect sets an option of each matching subflow that begins from now on,
// until the rule is removed: of one that is opened here before its SYN is sent,
// of one that is accepted with the acknowledgement that establishes it. Of several
// rules for one subflow and option the one with a cookie has the last word, then
// the later one.
//
// Sockets count that were opened in the cgroup where the process is now, or below
// it. The error is an *Error and matches ErrInvalid, ErrTooManyRules, ErrClosed,
// ErrNotPermitted, ErrNotSupported or ErrNoCgroup2. What the kernel says when the
// rule is applied, such as ErrUnknownCongestion, is in Rule.Outcome.
func (s *Setter) SetOnConnect(m Match, o Option, v Value) (*Rule, error) {
	r, err := s.hook.addRule(m, o, v)
	if err != nil {
		return nil, &Error{Op: "set on connect", Option: o, Local: m.Local, Remote: m.Remote, Err: err}
	}
	return r, nil
}

func (h *hook) addRule(m Match, o Option, v Value) (*Rule, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	scope, err := m.scope()
	if err != nil {
		return nil, err
	}
	entries, err := newEntries(m, o, v, h.lastID+1)
	if err != nil {
		return nil, err
	}
	if err := h.attach(); err != nil {
		return nil, bpfenv.ExplainDenial(err)
	}
	all := slices.Concat(h.lists[scope], entries)
	if len(all) > MaxRulesPerScope {
		return nil, fmt.Errorf("%w: %d for one cookie or port", ErrTooManyRules, len(all))
	}
	if err := h.tallies.Put(h.lastID+1, make([]byte, tallySize)); err != nil {
		return nil, tooMany(err)
	}
	if err := h.put(scope, all); err != nil {
		return nil, errors.Join(tooMany(err), h.tallies.Delete(h.lastID+1))
	}
	h.lastID++
	return &Rule{hook: h, id: h.lastID, scope: scope, option: o}, nil
}

// tooMany says why a map does not take an element.
func tooMany(err error) error {
	if errors.Is(err, unix.E2BIG) {
		return fmt.Errorf("%w: %w", ErrTooManyRules, err)
	}
	return fmt.Errorf("hand the rule to the eBPF program: %w", err)
}

// put writes the rules of a scope.
func (h *hook) put(s scope, entries []entry) error {
	if len(entries) == 0 {
		delete(h.lists, s)
		return h.rules.Delete(uint64(s))
	}
	if err := h.rules.Put(uint64(s), list(entries)); err != nil {
		return err
	}
	h.lists[s] = entries
	return nil
}

func (h *hook) removeRule(r *Rule) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	left := slices.DeleteFunc(slices.Clone(h.lists[r.scope]), func(e entry) bool { return e.id() == r.id })
	if err := errors.Join(h.put(r.scope, left), h.tallies.Delete(r.id)); err != nil {
		return fmt.Errorf("subopt: remove a rule for %v: %w", r.option, err)
	}
	return nil
}

func (h *hook) outcome(r *Rule) (Outcome, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return Outcome{}, ErrClosed
	}
	b, err := h.tallies.LookupBytes(r.id)
	switch {
	case err != nil:
		return Outcome{}, fmt.Errorf("subopt: read what became of a rule for %v: %w", r.option, err)
	case b == nil:
		return Outcome{}, ErrClosed
	}
	return decodeTally(b, r.option)
}

// attach loads the program and attaches it to the cgroup where the process is,
// unless that was done.
func (h *hook) attach() (err error) {
	if h.link != nil {
		return nil
	}
	dir, err := bpfenv.HomeCgroup()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.release())
		}
	}()
	if h.rules, err = ebpf.NewMap(rulesSpec()); err != nil {
		return fmt.Errorf("make the map of rules: %w", err)
	}
	if h.tallies, err = ebpf.NewMap(talliesSpec()); err != nil {
		return fmt.Errorf("make the map of tallies: %w", err)
	}
	program := hookProgram{fields: h.fields, cookie: h.cookie, rules: h.rules.FD(), tallies: h.tallies.FD()}
	if h.program, err = ebpf.NewProgram(program.spec()); err != nil {
		return fmt.Errorf("load the eBPF program: %w", bpfenv.ClassifyLoad(err))
	}
	h.link, err = link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: ebpf.AttachCGroupSockOps, Program: h.program})
	if err != nil {
		return fmt.Errorf("attach the eBPF program to cgroup %s: %w", dir, err)
	}
	return nil
}

func (h *hook) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	return h.release()
}

func (h *hook) release() error {
	var errs []error
	if h.link != nil {
		errs = append(errs, h.link.Close())
	}
	errs = append(errs, h.program.Close(), h.rules.Close(), h.tallies.Close())
	h.link, h.program, h.rules, h.tallies = nil, nil, nil, nil
	return errors.Join(errs...)
}
