package netpath

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"mpproxy/pathctl/netpath/rtnl"
)

// A Selector chooses interfaces to be paths and says how to treat them. When
// there is no selector at all, every usable interface is a path.
type Selector struct {
	Interface string // name, or a pattern of path.Match ("wlan*")
	Name      string // of the path; empty: the interface's name
	Rank      int    // from 1, the best; 0: by route metric, behind every given rank
	Metered   bool
	// MinSignal is a Wi-Fi signal in dBm, LeastSignal to MostSignal: below it a
	// path is weak, and ranks behind all others. 0: none.
	MinSignal int
	Family    rtnl.Family // use addresses of this family only; AnyFamily: both
	// Gateway restricts it to the way by this gateway, which needs no default route
	// if the interface has an address in one prefix with it; invalid: each default
	// route's gateway is a way.
	Gateway netip.Addr
	Table   uint32 // where default routes count; 0: the main table
}

// ErrBadSelector is what Selector.Validate's errors wrap.
var ErrBadSelector = errors.New("bad path selector")

// Validate says what is wrong with a selector; such an error matches
// ErrBadSelector.
func (s Selector) Validate() error {
	if s.Interface == "" {
		return fmt.Errorf("%w: no interface given", ErrBadSelector)
	}
	if _, err := path.Match(s.Interface, ""); err != nil {
		return fmt.Errorf("%w: interface pattern %q: %w", ErrBadSelector, s.Interface, err)
	}
	if s.Rank < 0 {
		return fmt.Errorf("%w: %s: rank %d: must be 1 or more, or 0 for the order of route metrics", ErrBadSelector, s.Interface, s.Rank)
	}
	if s.Family != rtnl.AnyFamily && s.Family != rtnl.IPv4 && s.Family != rtnl.IPv6 {
		return fmt.Errorf("%w: %s: family %d: must be 4, 6, or 0 for both", ErrBadSelector, s.Interface, s.Family)
	}
	if s.Gateway.IsValid() && s.Family != rtnl.AnyFamily && s.Family != rtnl.FamilyOf(s.Gateway) {
		return fmt.Errorf("%w: %s: the gateway %v is no %v address", ErrBadSelector, s.Interface, s.Gateway, s.Family)
	}
	if err := checkMinSignal(s.MinSignal); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrBadSelector, s.Interface, err)
	}
	return nil
}

func (s Selector) isPattern() bool { return strings.ContainsAny(s.Interface, `*?[\`) }

// matchesAll reports whether it matches whatever there is: then it asks for nothing.
func (s Selector) matchesAll() bool { return strings.Trim(s.Interface, "*?") == "" }

// matches reports whether it matches an interface by one of its names.
func (s Selector) matches(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		ok, err := path.Match(s.Interface, name)
		return err == nil && ok
	})
}

func (s Selector) wants(f rtnl.Family) bool {
	return (s.Family == rtnl.AnyFamily || s.Family == f) && (!s.Gateway.IsValid() || rtnl.FamilyOf(s.Gateway) == f)
}

// matchSelectors returns the indexes of the selectors that match an interface by one
// of its names.
func matchSelectors(sels []Selector, names ...string) (all []int) {
	for i, s := range sels {
		if s.matches(names...) {
			all = append(all, i)
		}
	}
	return all
}
