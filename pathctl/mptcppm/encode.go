package mptcppm

import (
	"net/netip"

	"github.com/mdlayher/netlink"

	"mpproxy/mptcpsock/uapi"
)

// request is the attributes of one command, before they become bytes. Pointers
// and invalid addresses stand for attributes that are left out.
type request struct {
	addr   *Endpoint
	remote netip.AddrPort
	token  *uapi.Token
	locID  *uapi.AddrID
	limits *Limits
}

// encode gives the attributes in the order of their numbers, so that a request
// has one form only.
func (r request) encode() ([]byte, error) {
	ae := netlink.NewAttributeEncoder()
	if r.addr != nil {
		ae.Nested(attrAddr, r.addr.encode)
	}
	if r.limits != nil {
		ae.Uint32(attrRcvAddAddrs, r.limits.AddAddrAccepted)
		ae.Uint32(attrSubflows, r.limits.Subflows)
	}
	if r.token != nil {
		ae.Uint32(attrToken, uint32(*r.token))
	}
	if r.locID != nil {
		ae.Uint8(attrLocID, uint8(*r.locID))
	}
	if r.remote.IsValid() {
		remote := Endpoint{Addr: r.remote.Addr(), Port: r.remote.Port()}
		ae.Nested(attrAddrRemote, remote.encode)
	}
	return ae.Encode()
}

// encode writes an address nest. What is zero is left out, as `ip mptcp` does:
// the kernel takes a missing attribute for zero.
func (e *Endpoint) encode(ae *netlink.AttributeEncoder) error {
	switch {
	case e.Addr.Is4():
		ae.Uint16(addrFamily, afInet)
	case e.Addr.Is6():
		ae.Uint16(addrFamily, afInet6)
	}
	if e.ID != 0 {
		ae.Uint8(addrID, uint8(e.ID))
	}
	switch {
	case e.Addr.Is4():
		ae.Bytes(addrAddr4, e.Addr.AsSlice())
	case e.Addr.Is6():
		ae.Bytes(addrAddr6, e.Addr.AsSlice())
	}
	if e.Port != 0 {
		ae.Uint16(addrPort, e.Port)
	}
	if e.Flags != 0 {
		ae.Uint32(addrFlags, uint32(e.Flags))
	}
	if e.IfIndex != 0 {
		ae.Int32(addrIfIndex, int32(e.IfIndex))
	}
	return nil
}
