package netpath

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

// apply carries out all changes and returns, for each table that is not as it
// should be, what failed. A missing capability ends it at once; that error
// matches ErrNotPermitted.
func apply(s *rtnl.Session, c changes) (failed map[uint32]error, err error) {
	failed = make(map[uint32]error)
	steps := []struct {
		routes []rtnl.Route
		rules  []rtnl.Rule
		do     func(rtnl.Route) error
		doRule func(rtnl.Rule) error
	}{
		{routes: c.replaceRoutes, do: s.ReplaceRoute},
		{routes: c.addRoutes, do: s.AddRoute},
		{rules: c.addRules, doRule: s.AddRule},
		{rules: c.delRules, doRule: s.DelRule},
		{routes: c.delRoutes, do: s.DelRoute},
	}
	for _, step := range steps {
		for _, r := range step.routes {
			if err := note(failed, r.Table, step.do(r)); err != nil {
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
func tableOfRule(r rtnl.Rule) uint32 {
	return rtnl.FirstNumber + (r.Priority-rtnl.FirstNumber)/rulesPerSlot
}

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
func mayChange(s *rtnl.Session) error {
	r := rtnl.Rule{Family: rtnl.IPv4, Src: rtnl.DefaultPrefix(rtnl.IPv4), Priority: rtnl.LastNumber, Table: rtnl.LastNumber, Protocol: rtnl.RouteProtocol, Suppress: rtnl.NoSuppress}
	if err := s.DelRule(r); errors.Is(err, unix.EPERM) {
		return ErrNotPermitted
	} else if err != nil {
		return fmt.Errorf("probe policy routing: %w", err)
	}
	return nil
}
