// Package destination says where a concentrator connects to, so that it is no door into
// its own network.
//
//	err := errors.Join(rules.CheckPort(443), rules.CheckAddr(netip.MustParseAddr("192.0.2.7"), known))
//
// Rules are pure. Surroundings learns what they have to know about the host.
package destination

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"mpproxy/proxy"
	"mpproxy/proxy/rules"
)

// ErrRefused says that the concentrator does not connect to an address or a port.
var ErrRefused error = &proxy.Failure{Outcome: proxy.NotAllowed, Err: errors.New("destination not allowed")}

// Rules say which destinations are refused. Deny wins over Allow, and Allow over what
// is refused by default: addresses that are not globally reachable, and the concentrator's
// own networks. Ports hold for all addresses.
type Rules struct {
	Allow, Deny []netip.Prefix
	Ports       []rules.PortRange // that may be connected to; nil: DefaultPorts
}

// DefaultPorts are all ports but that of mail between servers, through which
// strangers' machines send what nobody wants: a hoster ends the concentrator for it.
var DefaultPorts = []rules.PortRange{{First: 1, Last: 24}, {First: 26, Last: 65535}}

// Known is what the concentrator knows about the host's surroundings.
type Known struct {
	Own   []netip.Prefix // networks of its interfaces, and its public addresses
	NAT64 []netip.Prefix // the network's own, of 32, 40, 48, 56, 64 or 96 bits (RFC 6052 §2.2)
}

// CheckPort returns nil, or an error that wraps ErrRefused and says why.
func (r Rules) CheckPort(port uint16) error {
	ports := r.Ports
	if ports == nil {
		ports = DefaultPorts
	}
	if !slices.ContainsFunc(ports, func(p rules.PortRange) bool { return p.First <= port && port <= p.Last }) {
		return fmt.Errorf("%w: port %d is not among the ports of the server's [destinations]", ErrRefused, port)
	}
	return nil
}

// CheckAddr returns nil, or an error that wraps ErrRefused and says why.
func (r Rules) CheckAddr(addr netip.Addr, known Known) error {
	addr = addr.Unmap().WithZone("")
	if within(r.Deny, addr) {
		return fmt.Errorf("%w: %s is denied by the configuration", ErrRefused, addr)
	}
	if inner, translated := Embedded(addr, known.NAT64); translated {
		return r.checkEmbedded(addr, inner, known)
	}
	if within(r.Allow, addr) {
		return nil
	}
	if b, ok := blockOf(addr); ok && !b.open {
		return fmt.Errorf("%w: %s is in the %s range %s", ErrRefused, addr, b.name, b.prefix)
	}
	for _, own := range known.Own {
		switch {
		case own.Addr() == addr:
			return fmt.Errorf("%w: %s is the concentrator itself", ErrRefused, addr)
		case own.Masked().Contains(addr):
			return fmt.Errorf("%w: %s is in the concentrator's own network %s", ErrRefused, addr, own.Masked())
		}
	}
	return nil
}

// checkEmbedded judges an address of NAT64 by the IPv4 addresses that it can stand for,
// whatever is allowed around it: the translator connects to those.
func (r Rules) checkEmbedded(addr netip.Addr, inner []netip.Addr, known Known) error {
	for _, in := range inner {
		if err := r.CheckAddr(in, known); err != nil {
			return fmt.Errorf("%w (%s stands for it, by NAT64)", err, addr)
		}
	}
	if len(inner) == 0 {
		return fmt.Errorf("%w: %s is an address of NAT64 that stands for no IPv4 address", ErrRefused, addr)
	}
	return nil
}

func within(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
