package netpath

import (
	"errors"
	"fmt"
	"path"
	"strings"
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
	Family    Family // use addresses of this family only; AnyFamily: both
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
	if s.Family != AnyFamily && s.Family != IPv4 && s.Family != IPv6 {
		return fmt.Errorf("%w: %s: family %d: must be 4, 6, or 0 for both", ErrBadSelector, s.Interface, s.Family)
	}
	if err := checkMinSignal(s.MinSignal); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrBadSelector, s.Interface, err)
	}
	return nil
}

func (s Selector) isPattern() bool { return strings.ContainsAny(s.Interface, `*?[\`) }

func (s Selector) matches(iface string) bool {
	ok, err := path.Match(s.Interface, iface)
	return err == nil && ok
}

func (s Selector) wants(f Family) bool { return s.Family == AnyFamily || s.Family == f }

// matchSelector returns the index of the first selector that matches, or -1.
func matchSelector(sels []Selector, iface string) int {
	for i, s := range sels {
		if s.matches(iface) {
			return i
		}
	}
	return -1
}
