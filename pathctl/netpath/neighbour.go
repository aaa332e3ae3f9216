package netpath

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
type neighbour struct {
	index int // of the interface
	addr  netip.Addr
}

// unresolved are the states of a neighbour that does not answer, or has not yet.
const unresolved = unix.NUD_INCOMPLETE | unix.NUD_FAILED

// ask makes the kernel resolve anew those of the neighbours that have not
// answered. A resolution that began while a path was down, for the FIN of a
// subflow, say, fails up to three seconds later, and what was sent after the path
// came back fails with it: "no route to host" for a join that the kernel's own
// path manager never tries again (net/core/neighbour.c, Linux 6.18).
func (s *session) ask(log *slog.Logger, gateways []neighbour) error {
	if len(gateways) == 0 {
		return nil
	}
	silent, err := s.readUnresolved(log)
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

func (s *session) readUnresolved(log *slog.Logger) ([]neighbour, error) {
	request, err := (&rtnetlink.NeighMessage{}).MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encode dump of neighbours: %w", err)
	}
	msgs, err := s.dump("neighbours", unix.RTM_GETNEIGH, request)
	var all []neighbour
	for _, m := range decodeAll(log, msgs, unix.RTM_NEWNEIGH, decodeNeighbour) {
		if m.State&unresolved != 0 && m.Attributes != nil {
			all = append(all, neighbour{int(m.Index), toAddr(m.Attributes.Address)})
		}
	}
	return all, err
}

func decodeNeighbour(b []byte) (m rtnetlink.NeighMessage, err error) {
	err = m.UnmarshalBinary(b)
	return m, err
}

// forget removes an entry; one that is gone already is no error.
func (s *session) forget(n neighbour) error {
	m := rtnetlink.NeighMessage{
		Family: uint16(familyOf(n.addr).kernel()), Index: uint32(n.index),
		Attributes: &rtnetlink.NeighAttributes{Address: n.addr.AsSlice()},
	}
	b, err := m.MarshalBinary()
	if err != nil {
		return fmt.Errorf("encode neighbour: %w", err)
	}
	_, err = s.execute(fmt.Sprintf("forget neighbour %v on interface %d", n.addr, n.index), unix.RTM_DELNEIGH, netlink.Acknowledge, b)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}
