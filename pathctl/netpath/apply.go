package netpath

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// apply carries out all changes and returns, for each table that is not as it
// should be, what failed. A missing capability ends it at once; that error
// matches ErrNotPermitted.
func apply(s *session, c changes) (failed map[uint32]error, err error) {
	failed = make(map[uint32]error)
	steps := []struct {
		routes []route
		rules  []rule
		do     func(route) error
		doRule func(rule) error
	}{
		{routes: c.replaceRoutes, do: s.replaceRoute},
		{routes: c.addRoutes, do: s.addRoute},
		{rules: c.addRules, doRule: s.addRule},
		{rules: c.delRules, doRule: s.delRule},
		{routes: c.delRoutes, do: s.delRoute},
	}
	for _, step := range steps {
		for _, r := range step.routes {
			if err := note(failed, r.table, step.do(r)); err != nil {
				return failed, err
			}
		}
		for _, r := range step.rules {
			if err := note(failed, tableOfRule(r), step.doRule(r)); err != nil {
				return failed, err
			}
		}
	}
	return failed, nil
}

// tableOfRule is the table of the slot that a rule belongs to.
func tableOfRule(r rule) uint32 { return firstNumber + (r.priority-firstNumber)/rulesPerSlot }

// note keeps the first error of each table; it returns only what ends apply.
func note(failed map[uint32]error, table uint32, err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: %w", ErrNotPermitted, err)
	}
	if err != nil && failed[table] == nil {
		failed[table] = err
	}
	return nil
}

// mayChange asks the kernel whether it would let us change rules, by deleting
// one that cannot exist: slot numbers end before the priority used here.
func mayChange(s *session) error {
	r := rule{family: IPv4, src: defaultPrefix(IPv4), priority: lastNumber, table: lastNumber, protocol: routeProtocol, suppress: noSuppress}
	if err := s.delRule(r); errors.Is(err, unix.EPERM) {
		return ErrNotPermitted
	} else if err != nil {
		return fmt.Errorf("probe policy routing: %w", err)
	}
	return nil
}
