package hosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/vishvananda/netlink"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// anywhere is the destination of an IPv4 default route.
var anywhere = &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}

// addTunnel gives a host an interface tun0 that is up and that no program serves: it
// has no carrier. A default route in a table leads into it.
func addTunnel(table, metric int) error {
	tun := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tun0"}, Mode: netlink.TUNTAP_MODE_TUN}
	if err := netlink.LinkAdd(tun); err != nil {
		return fmt.Errorf("add tun0: %w", err)
	}
	i, err := netlink.LinkByName("tun0")
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr("192.0.2.250/32")
	if err != nil {
		return err
	}
	return errors.Join(netlink.AddrAdd(i, addr), netlink.LinkSetUp(i),
		netlink.RouteAdd(&netlink.Route{LinkIndex: i.Attrs().Index, Dst: anywhere, Table: table, Priority: metric, Scope: netlink.SCOPE_LINK}))
}

// addRule makes all IPv4 traffic look a table up.
func addRule(priority, table int) error {
	rule := netlink.NewRule()
	rule.Priority, rule.Table, rule.Family = priority, table, netlink.FAMILY_V4
	return netlink.RuleAdd(rule)
}

// TestForeignRule: a VPN's rule that comes before ours, into a tunnel that is dead,
// breaks nothing; status names it.
func TestForeignRule(t *testing.T) {
	t.Parallel()
	for _, manager := range scene.Managers {
		t.Run(manager, func(t *testing.T) {
			t.Parallel()
			r := scene.Start(t, scene.ManagedBy(manager, rig.Config{
				Links: scene.ClientLinks(),
				Prepare: func(ctx context.Context, topo *netns.Topology) error {
					return topo.Client.Do(ctx, func() error { return errors.Join(addTunnel(52, 0), addRule(5270, 52)) })
				},
			}))
			scene.Works(t, r)
			scene.BothWays(t, r)
		})
	}
}
