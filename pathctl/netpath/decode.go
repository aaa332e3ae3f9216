package netpath

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

func decodeLink(b []byte) (link, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return link{}, fmt.Errorf("decode link: %w", errShort)
	}
	l := link{
		hardware: binary.NativeEndian.Uint16(b[2:4]),
		index:    int(int32(binary.NativeEndian.Uint32(b[4:8]))),
		flags:    binary.NativeEndian.Uint32(b[8:12]),
	}
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return link{}, fmt.Errorf("decode link: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_IFNAME:
			l.name = ad.String()
		case unix.IFLA_ADDRESS:
			l.mac = string(ad.Bytes())
		case unix.IFLA_MASTER:
			l.master = int(ad.Uint32())
		case unix.IFLA_LINKINFO:
			ad.Nested(func(nad *netlink.AttributeDecoder) error {
				for nad.Next() {
					if nad.Type() == unix.IFLA_INFO_KIND {
						l.kind = nad.String()
					}
				}
				return nil
			})
		case unix.IFLA_PROP_LIST:
			ad.Nested(func(nad *netlink.AttributeDecoder) error {
				for nad.Next() {
					if nad.Type() == unix.IFLA_ALT_IFNAME {
						l.alternatives = append(l.alternatives, nad.String())
					}
				}
				return nil
			})
		case unix.IFLA_STATS64: // struct rtnl_link_stats64: rx_packets, tx_packets, rx_bytes, tx_bytes, …
			if s := ad.Bytes(); len(s) >= 32 {
				l.counters = Counters{RxBytes: binary.NativeEndian.Uint64(s[16:24]), TxBytes: binary.NativeEndian.Uint64(s[24:32])}
			}
		}
	}
	if err := ad.Err(); err != nil {
		return link{}, fmt.Errorf("decode link %d: %w", l.index, err)
	}
	return l, nil
}

func decodeAddress(b []byte) (address, error) {
	var m rtnetlink.AddressMessage
	if err := m.UnmarshalBinary(b); err != nil {
		return address{}, fmt.Errorf("decode address: %w", err)
	}
	a := address{index: int(m.Index), bits: int(m.PrefixLength), scope: m.Scope, flags: uint32(m.Flags)}
	if m.Attributes == nil {
		return a, nil
	}
	if m.Attributes.Flags != 0 { // IFA_FLAGS: all 32 bits; the header holds the low eight
		a.flags = m.Attributes.Flags
	}
	// IFA_LOCAL is our end; IFA_ADDRESS alone (IPv6) is ours too, but with
	// IFA_LOCAL present it is the peer's end of a point-to-point link.
	if a.addr = toAddr(m.Attributes.Local); !a.addr.IsValid() {
		a.addr = toAddr(m.Attributes.Address)
	}
	return a, nil
}

// decodeNetconf reads RTM_NEWNETCONF: an interface's index and its rp_filter.
func decodeNetconf(b []byte) (index int, rpFilter int32, err error) {
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
