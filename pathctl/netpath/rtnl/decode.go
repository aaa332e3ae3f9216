package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Decoders of single messages. rtnetlink's codec is used where it is tolerant.
// Links are decoded here, because rtnetlink v2.0.2 refuses a whole link when
// its statistics have a length that it does not know (they grew in 4.6 and in
// 5.19) or its hardware address has one or two bytes.

var errShort = errors.New("message too short")

func DecodeLink(b []byte) (Link, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return Link{}, fmt.Errorf("decode link: %w", errShort)
	}
	l := Link{
		Hardware: binary.NativeEndian.Uint16(b[2:4]),
		Index:    int(int32(binary.NativeEndian.Uint32(b[4:8]))),
		Flags:    binary.NativeEndian.Uint32(b[8:12]),
	}
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return Link{}, fmt.Errorf("decode link: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_IFNAME:
			l.Name = ad.String()
		case unix.IFLA_ADDRESS:
			l.MAC = string(ad.Bytes())
		case unix.IFLA_MASTER:
			l.Master = int(ad.Uint32())
		case unix.IFLA_LINKINFO:
			ad.Nested(func(nad *netlink.AttributeDecoder) error {
				for nad.Next() {
					if nad.Type() == unix.IFLA_INFO_KIND {
						l.Kind = nad.String()
					}
				}
				return nil
			})
		case unix.IFLA_PROP_LIST:
			ad.Nested(func(nad *netlink.AttributeDecoder) error {
				for nad.Next() {
					if nad.Type() == unix.IFLA_ALT_IFNAME {
						l.Alternatives = append(l.Alternatives, nad.String())
					}
				}
				return nil
			})
		case unix.IFLA_STATS64: // struct rtnl_link_stats64: rx_packets, tx_packets, rx_bytes, tx_bytes, …
			if s := ad.Bytes(); len(s) >= 32 {
				l.Counters = Counters{RxBytes: binary.NativeEndian.Uint64(s[16:24]), TxBytes: binary.NativeEndian.Uint64(s[24:32])}
			}
		}
	}
	if err := ad.Err(); err != nil {
		return Link{}, fmt.Errorf("decode link %d: %w", l.Index, err)
	}
	return l, nil
}

func DecodeAddress(b []byte) (Address, error) {
	var m rtnetlink.AddressMessage
	if err := m.UnmarshalBinary(b); err != nil {
		return Address{}, fmt.Errorf("decode address: %w", err)
	}
	a := Address{Index: int(m.Index), Bits: int(m.PrefixLength), Scope: m.Scope, Flags: uint32(m.Flags)}
	if m.Attributes == nil {
		return a, nil
	}
	if m.Attributes.Flags != 0 { // IFA_FLAGS: all 32 bits; the header holds the low eight
		a.Flags = m.Attributes.Flags
	}
	// IFA_LOCAL is our end; IFA_ADDRESS alone (IPv6) is ours too, but with
	// IFA_LOCAL present it is the peer's end of a point-to-point link.
	if a.Addr = ToAddr(m.Attributes.Local); !a.Addr.IsValid() {
		a.Addr = ToAddr(m.Attributes.Address)
	}
	return a, nil
}

// DecodeNetconf reads RTM_NEWNETCONF: an interface's index and its rp_filter.
func DecodeNetconf(b []byte) (index int, rpFilter int32, err error) {
	// NETCONFA_* of include/uapi/linux/netconf.h; struct netconfmsg is one byte, padded.
	const (
		netconfaIfindex  = 1
		netconfaRPFilter = 3
		headerLen        = 4
	)
	if len(b) < headerLen {
		return 0, 0, fmt.Errorf("decode netconf: %w", errShort)
	}
	ad, err := netlink.NewAttributeDecoder(b[headerLen:])
	if err != nil {
		return 0, 0, fmt.Errorf("decode netconf: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case netconfaIfindex:
			index = int(ad.Int32())
		case netconfaRPFilter:
			rpFilter = ad.Int32()
		}
	}
	return index, rpFilter, ad.Err()
}
