package mptcppm

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/mdlayher/netlink"

	"mpproxy/mptcpsock/uapi"
)

// decodeEndpoint reads the reply to GET_ADDR: one address nest. Attributes that
// this package does not know are skipped, here and below: newer kernels add.
func decodeEndpoint(b []byte) (Endpoint, error) {
	var (
		e     Endpoint
		found bool
	)
	err := eachAttribute(b, func(ad *netlink.AttributeDecoder) {
		if ad.Type() == attrAddr {
			found = true
			ad.Nested(e.decode)
		}
	})
	switch {
	case err != nil:
		return Endpoint{}, fmt.Errorf("endpoint: %w", err)
	case !found:
		return Endpoint{}, fmt.Errorf("endpoint: no address in the message: %w", errMalformed)
	}
	return e, nil
}

func (e *Endpoint) decode(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		switch ad.Type() {
		case addrID:
			e.ID = uapi.AddrID(ad.Uint8())
		case addrAddr4, addrAddr6:
			ad.Do(decodeAddr(&e.Addr, ad.Type() == addrAddr4))
		case addrPort:
			e.Port = ad.Uint16()
		case addrFlags:
			e.Flags = Flags(ad.Uint32())
		case addrIfIndex:
			e.IfIndex = int(ad.Int32())
		}
	}
	return ad.Err()
}

// decodeLimits reads the reply to GET_LIMITS.
func decodeLimits(b []byte) (Limits, error) {
	var l Limits
	err := eachAttribute(b, func(ad *netlink.AttributeDecoder) {
		switch ad.Type() {
		case attrRcvAddAddrs:
			l.AddAddrAccepted = ad.Uint32()
		case attrSubflows:
			l.Subflows = ad.Uint32()
		}
	})
	if err != nil {
		return Limits{}, fmt.Errorf("limits: %w", err)
	}
	return l, nil
}

// decodeEvent reads the attributes of one event.
func decodeEvent(kind EventKind, b []byte) (Event, error) {
	d := eventDecoder{Event: Event{Kind: kind}}
	if err := eachAttribute(b, d.attribute); err != nil {
		return Event{}, fmt.Errorf("event %v: %w", kind, err)
	}
	e := d.Event
	if d.local.IsValid() {
		e.Local = netip.AddrPortFrom(d.local, d.localPort)
	}
	if d.remote.IsValid() {
		e.Remote = netip.AddrPortFrom(d.remote, d.remotePort)
	}
	if e.Flags&EventServerSide != 0 {
		e.ServerSide = true
	}
	return e, nil
}

// eventDecoder collects addresses and ports, which come apart.
type eventDecoder struct {
	Event
	local, remote         netip.Addr
	localPort, remotePort uint16
}

func (d *eventDecoder) attribute(ad *netlink.AttributeDecoder) {
	switch ad.Type() {
	case evToken:
		d.Token = uapi.Token(ad.Uint32())
	case evLocID:
		d.LocalID = uapi.AddrID(ad.Uint8())
	case evRemID:
		d.RemoteID = uapi.AddrID(ad.Uint8())
	case evSAddr4, evSAddr6:
		ad.Do(decodeAddr(&d.local, ad.Type() == evSAddr4))
	case evDAddr4, evDAddr6:
		ad.Do(decodeAddr(&d.remote, ad.Type() == evDAddr4))
	case evSPort:
		ad.Do(decodePort(&d.localPort))
	case evDPort:
		ad.Do(decodePort(&d.remotePort))
	case evBackup:
		d.Backup = ad.Uint8() != 0
	case evError:
		d.Errno = syscall.Errno(ad.Uint8())
	case evFlags:
		d.Flags = EventFlags(ad.Uint16())
	case evTimeout:
		d.Timeout = ad.Uint32()
	case evIfIndex:
		d.IfIndex = int(ad.Int32())
	case evResetReason:
		d.ResetReason = ResetReason(ad.Uint32())
	case evResetFlags:
		d.ResetFlags = ad.Uint32()
	case evServerSide:
		d.ServerSide = ad.Uint8() != 0
	default: // evFamily too: the addresses say it
		return
	}
	d.Fields |= 1 << ad.Type()
}

// eachAttribute calls fn for each attribute of b. All errors are errMalformed.
func eachAttribute(b []byte, fn func(*netlink.AttributeDecoder)) error {
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	for ad.Next() {
		fn(ad)
	}
	if err := ad.Err(); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	return nil
}

func decodeAddr(to *netip.Addr, four bool) func([]byte) error {
	return func(b []byte) error {
		addr, ok := netip.AddrFromSlice(b)
		if !ok || addr.Is4() != four {
			return fmt.Errorf("address of %d bytes", len(b))
		}
		*to = addr
		return nil
	}
}

func decodePort(to *uint16) func([]byte) error {
	return func(b []byte) error {
		if len(b) != 2 {
			return fmt.Errorf("port of %d bytes", len(b))
		}
		*to = binary.BigEndian.Uint16(b)
		return nil
	}
}
