package paths

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

func TestTransfersUseBothPaths(t *testing.T) {
	t.Parallel()
	yes, no := []bool{true, true}, []bool{false, false}
	for _, tt := range []struct {
		name, security, host string
		v4, v6               []bool
		server               func(string) string
		prepare              func(context.Context, *netns.Topology) error
	}{
		{name: "IPv4, TLS", security: "tls", v4: yes, v6: no},
		{name: "IPv4, no TLS", security: "none", v4: yes, v6: no},
		{name: "IPv6, TLS", security: "tls", host: "2001:db8:100::1", v4: no, v6: yes},
		{name: "both families, by name, no TLS", security: "none", host: netns.ConcentratorName, v4: yes, v6: yes},
		{
			name: "one IPv4 and one IPv6, announced by itself, TLS", security: "tls",
			v4: []bool{true, false}, v6: []bool{false, true}, prepare: internetRoutes,
		},
		{
			name: "one IPv6 and one IPv4, announced by configuration, no TLS", security: "none", host: "2001:db8:100::1",
			v4: []bool{false, true}, v6: []bool{true, false}, server: scene.With(`announce.addresses = ["203.0.113.1"]`),
		},
	} {
		for _, manager := range scene.Managers {
			t.Run(tt.name+", "+manager, func(t *testing.T) {
				t.Parallel()
				r := scene.Start(t, scene.ManagedBy(manager, rig.Config{
					Links: scene.Families(rig.DSLAndLTE(), tt.v4, tt.v6), Security: tt.security, Host: tt.host,
					EditServer: tt.server, Prepare: tt.prepare,
				}))
				if got := scene.StatusOf(t, r).PathManager.Backend; got != manager {
					t.Errorf("subflows are made by %s", got)
				}
				scene.BothWays(t, r)
			})
		}
	}
}

// internetRoutes gives the concentrator default routes, as on the Internet: by
// them it finds out which public addresses it has.
func internetRoutes(ctx context.Context, topo *netns.Topology) error {
	return topo.Concentrator.Do(ctx, func() error {
		return errors.Join(defaultRoute("0.0.0.0/0", topo.Destination4), defaultRoute("::/0", topo.Destination6))
	})
}

func defaultRoute(prefix string, gateway netip.Addr) error {
	wan, err := netlink.LinkByName("wan0")
	if err != nil {
		return err
	}
	dst, err := netlink.ParseIPNet(prefix)
	if err != nil {
		return err
	}
	r := netlink.Route{LinkIndex: wan.Attrs().Index, Dst: dst, Gw: gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK)}
	if err := netlink.RouteAdd(&r); err != nil {
		return fmt.Errorf("default route %s via %s: %w", prefix, gateway, err)
	}
	return nil
}
