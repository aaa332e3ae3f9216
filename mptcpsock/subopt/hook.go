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
	cookie uint64 // of the network namespace

	mu     sync.Mutex
	closed bool
	kernel hookObjects
	link   link.Link // nil until there was a rule
	lists  map[scope][]suboptRule
	lastID uint32
}

// hookObjects are the objects of subopt.bpf.c that rules take.
type hookObjects struct {
	Program *ebpf.Program `ebpf:"mpproxy_rules"`
	Rules   *ebpf.Map     `ebpf:"rules_by_scope"`
	Tallies *ebpf.Map     `ebpf:"tally_by_rule"`
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
	rules, err := newRules(m, o, v, h.lastID+1)
	if err != nil {
		return nil, err
	}
	if err := h.attach(); err != nil {
		return nil, bpfenv.ExplainDenial(err)
	}
	all := slices.Concat(h.lists[scope], rules)
	if len(all) > MaxRulesPerScope {
		return nil, fmt.Errorf("%w: %d for one cookie or port", ErrTooManyRules, len(all))
	}
	if err := h.kernel.Tallies.Put(h.lastID+1, suboptTally{}); err != nil {
		return nil, tooMany(err)
	}
	if err := h.put(scope, all); err != nil {
		return nil, errors.Join(tooMany(err), h.kernel.Tallies.Delete(h.lastID+1))
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
func (h *hook) put(s scope, rules []suboptRule) error {
	if len(rules) == 0 {
		delete(h.lists, s)
		return h.kernel.Rules.Delete(uint64(s))
	}
	var all [MaxRulesPerScope]suboptRule
	copy(all[:], rules)
	if err := h.kernel.Rules.Put(uint64(s), &all); err != nil {
		return err
	}
	h.lists[s] = rules
	return nil
}

func (h *hook) removeRule(r *Rule) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	left := slices.DeleteFunc(slices.Clone(h.lists[r.scope]), func(e suboptRule) bool { return e.Id == r.id })
	if err := errors.Join(h.put(r.scope, left), h.kernel.Tallies.Delete(r.id)); err != nil {
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
	var t suboptTally
	switch err := h.kernel.Tallies.Lookup(r.id, &t); {
	case errors.Is(err, ebpf.ErrKeyNotExist):
		return Outcome{}, ErrClosed
	case err != nil:
		return Outcome{}, fmt.Errorf("subopt: read what became of a rule for %v: %w", r.option, err)
	}
	return t.outcome(r.option), nil
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
	options, err := bpfenv.LoadOptions()
	if err != nil {
		return err
	}
	if err := load(&h.kernel, h.cookie, options); err != nil {
		return err
	}
	h.link, err = link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: ebpf.AttachCGroupSockOps, Program: h.kernel.Program})
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
	errs = append(errs, h.kernel.Program.Close(), h.kernel.Rules.Close(), h.kernel.Tallies.Close())
	h.link, h.kernel = nil, hookObjects{}
	return errors.Join(errs...)
}
