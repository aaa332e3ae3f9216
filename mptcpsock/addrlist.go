package mptcpsock

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// AddAddrs is TCP_MULTIPATH_ADD before the connection: it adds to LocalAddrs.
func (d *Dialer) AddAddrs(addrs ...netip.AddrPort) error {
	return addAddrs(&d.LocalAddrs, addrs)
}

// RemoveAddrs is TCP_MULTIPATH_REMOVE before the connection: it takes addresses
// off LocalAddrs, whatever their port. ErrUnknownAddress says that one is not
// there; the others are removed.
func (d *Dialer) RemoveAddrs(addrs ...netip.AddrPort) error {
	return removeAddrs(&d.LocalAddrs, addrs)
}

func addAddrs(list *[]netip.AddrPort, addrs []netip.AddrPort) error {
	for _, a := range addrs {
		if err := checkLocal(a.Addr()); err != nil {
			return err
		}
	}
	for _, a := range addrs {
		if a = unmapPort(a); !slices.Contains(*list, a) {
			*list = append(*list, a)
		}
	}
	return nil
}

func removeAddrs(list *[]netip.AddrPort, addrs []netip.AddrPort) error {
	var errs []error
	for _, a := range addrs {
		before := len(*list)
		*list = slices.DeleteFunc(*list, func(b netip.AddrPort) bool { return a.Addr().Unmap() == b.Addr() })
		if len(*list) == before {
			errs = append(errs, fmt.Errorf("%w: %v", ErrUnknownAddress, a.Addr()))
		}
	}
	return errors.Join(errs...)
}
