package netns

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// subnet is what one family has on a link; network is not valid if it has nothing.
type subnet struct {
	network         netip.Prefix
	gateway, client netip.Addr
}

func (l *Link) subnets() [2]subnet {
	return [2]subnet{{l.Network4, l.Gateway4, l.Client4}, {l.Network6, l.Gateway6, l.Client6}}
}

// address gives both ends their addresses, and the client its default routes:
// the first link's has the best metric.
func (l *Link) address(ctx context.Context) error {
	for _, s := range l.subnets() {
		if !s.network.IsValid() {
			continue
		}
		err := l.topology.Concentrator.Do(ctx, func() error {
			return addAddr(l.Name, netip.PrefixFrom(s.gateway, s.network.Bits()))
		})
		if err != nil {
			return fmt.Errorf("netns: concentrator: %w", err)
		}
	}
	return l.configureClient(ctx)
}

// configureClient does what a DHCP client does once it has a lease.
func (l *Link) configureClient(ctx context.Context) error {
	return l.topology.Client.Do(ctx, func() error {
		for _, s := range l.subnets() {
			if !s.network.IsValid() {
				continue
			}
			if err := addAddr(l.Name, netip.PrefixFrom(s.client, s.network.Bits())); err != nil {
				return fmt.Errorf("netns: client: %w", err)
			}
			if err := addRoute(l.Name, defaultPrefix(s.client), s.gateway, l.metric); err != nil {
				return fmt.Errorf("netns: client: %w", err)
			}
		}
		return nil
	})
}

// Disconnect takes the link away from the client as a network manager does: its
// addresses are removed and its interface is set down, and with them the default
// routes go.
func (l *Link) Disconnect(ctx context.Context) error {
	err := l.topology.Client.Do(ctx, func() error {
		i, err := netlink.LinkByName(l.Name)
		if err != nil {
			return err
		}
		for _, s := range l.subnets() {
			if !s.network.IsValid() {
				continue
			}
			a := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(s.client, s.network.Bits()))}
			if err := netlink.AddrDel(i, a); err != nil {
				return fmt.Errorf("remove %v: %w", s.client, err)
			}
		}
		return netlink.LinkSetDown(i)
	})
	if err != nil {
		return fmt.Errorf("netns: disconnect %s: %w", l.Name, err)
	}
	return nil
}

// Connect undoes Disconnect: the interface comes up, with the addresses and
// default routes that New gave it.
func (l *Link) Connect(ctx context.Context) error {
	err := l.topology.Client.Do(ctx, func() error {
		i, err := netlink.LinkByName(l.Name)
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(i)
	})
	if err != nil {
		return fmt.Errorf("netns: connect %s: %w", l.Name, err)
	}
	return l.configureClient(ctx)
}
