// Package hostaddr knows the host's own addresses and networks. IsOwn asks routing about one
// address, in the network namespace of its thread. A Cache lists them all, which costs more
// than a dial, and therefore remembers them for a few seconds.
package hostaddr

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Cache holds the addresses for a few seconds. Its zero value is ready; it is safe for
// concurrent use.
type Cache struct {
	mu       sync.Mutex
	networks []netip.Prefix
	until    time.Time
}

// ttl is how long an answer is used. A destination that has become the host itself is
// noticed after so long.
const ttl = 5 * time.Second

// Networks returns the addresses of all interfaces, unmapped and without zones, each with
// the length of its network. The caller must not change them.
func (o *Cache) Networks() ([]netip.Prefix, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Now().Before(o.until) {
		return o.networks, nil
	}
	ifaddrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing this host's own addresses: %w", err)
	}
	o.networks = o.networks[:0:0]
	for _, a := range ifaddrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			o.networks = append(o.networks, netip.PrefixFrom(p.Addr().WithZone(""), p.Bits()))
		}
	}
	o.until = time.Now().Add(ttl)
	return o.networks, nil
}

// Has reports whether an address is the host's: one of an interface, of the loopback
// network, or the one that stands for all. It is true as well where nobody can tell.
func (o *Cache) Has(a netip.Addr) bool {
	own, err := o.Networks()
	a = a.Unmap().WithZone("")
	return err != nil || a.IsUnspecified() || a.IsLoopback() ||
		slices.ContainsFunc(own, func(p netip.Prefix) bool { return p.Addr() == a })
}

// IsOwn reports whether an address is one of this host: routing gives it itself as
// source. Nothing is sent. It is false where nobody can tell.
func IsOwn(a netip.Addr) bool {
	a = a.Unmap()
	if a.IsLoopback() {
		return true
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 9)))
	if err != nil {
		return false
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap() == a
}
