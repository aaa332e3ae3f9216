package rtnl

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A neighbour is the gateway of a path, as ARP and neighbour discovery know it.
type Neighbour struct {
	Index int // of the interface
	Addr  netip.Addr
}

// unresolved are the states of a neighbour that does not answer, or has not yet.
const unresolved = unix.NUD_INCOMPLETE | unix.NUD_FAILED

// Ask makes the kernel resolve anew those of the neighbours that have not
// answered. A resolution that began while a path was down, for the FIN of a
// subflow, say, fails up to three seconds later, and what was sent after the path
// came back fails with it: "no route to host" for a join that the kernel's own
// path manager never tries again (net/core/neighbour.c, Linux 6.18).
func (s *Session) Ask(log *slog.Logger, gateways []Neighbour) error {
	if len(gateways) == 0 {
		return nil
	}
	silent, err := s.ReadUnresolved(log)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range gateways {
		if slices.Contains(silent, n) {
			errs = append(errs, s.forget(n))
		}
	}
	return errors.Join(errs...)
}

func (s *Session) ReadUnresolved(log *slog.Logger) ([]Neighbour, error) {
	request, err := (&rtnetlink.NeighMessage{}).MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encode dump of neighbours: %w", err)
	}
	msgs, err := s.dump("neighbours", unix.RTM_GETNEIGH, request)
	var all []Neighbour
	for _, m := range DecodeAll(log, msgs, unix.RTM_NEWNEIGH, decodeNeighbour) {
		if m.State&unresolved != 0 && m.Attributes != nil {
			all = append(all, Neighbour{int(m.Index), ToAddr(m.Attributes.Address)})
		}
	}
	return all, err
}

func decodeNeighbour(b []byte) (m rtnetlink.NeighMessage, err error) {
	err = m.UnmarshalBinary(b)
	return m, err
}

// forget removes an entry; one that is gone already is no error.
func (s *Session) forget(n Neighbour) error {
	m := rtnetlink.NeighMessage{
		Family: uint16(FamilyOf(n.Addr).kernel()), Index: uint32(n.Index),
		Attributes: &rtnetlink.NeighAttributes{Address: n.Addr.AsSlice()},
	}
	b, err := m.MarshalBinary()
	if err != nil {
		return fmt.Errorf("encode neighbour: %w", err)
	}
	_, err = s.Execute(fmt.Sprintf("forget neighbour %v on interface %d", n.Addr, n.Index), unix.RTM_DELNEIGH, netlink.Acknowledge, b)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}
