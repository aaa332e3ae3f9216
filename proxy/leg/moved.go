package leg

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"mpproxy/proxy"
)

// errNoOther: the concentrator's name has the addresses that it had before.
var errNoOther = errors.New("the name has no other address")

// elsewhere looks the name of the concentrator up anew, and races the ways to addresses
// that are not known yet: the concentrator may have moved.
func (s *Session) elsewhere(ctx context.Context, f *proxy.Flow, cands []Candidate, known []netip.Addr) (*Leg, error) {
	addrs, err := s.names.anew(ctx)
	if err != nil {
		return nil, err
	}
	addrs = slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return slices.Contains(known, a) })
	attempts := s.freeLocal(plan(cands, addrs, s.cfg.Port, s.cfg.Paths.LeftAlone))
	if len(attempts) == 0 {
		return nil, errNoOther
	}
	s.log.Info("the concentrator's name has got another address", "name", s.cfg.Host, "address", addrs[0])
	return s.race(ctx, f, attempts, nil)
}
