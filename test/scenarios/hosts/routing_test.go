package hosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// anywhere is the destination of an IPv4 default route.
var anywhere = &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}

// addTunnel gives a host an interface tun0 that is up, with a default route into it in
// a table. A program that serves it, whose files are returned, gives it a carrier.
func addTunnel(table, metric int, served bool) ([]*os.File, error) {
	tun := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tun0"}, Mode: netlink.TUNTAP_MODE_TUN, Flags: netlink.TUNTAP_NO_PI}
	if served {
		tun.NonPersist, tun.Queues = true, 1
	}
	if err := netlink.LinkAdd(tun); err != nil {
		return nil, fmt.Errorf("add tun0: %w", err)
	}
	i, err := netlink.LinkByName("tun0")
	if err != nil {
		return tun.Fds, err
	}
	addr, err := netlink.ParseAddr("192.0.2.250/32")
	if err != nil {
		return tun.Fds, err
	}
	return tun.Fds, errors.Join(netlink.AddrAdd(i, addr), netlink.LinkSetUp(i),
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
					return topo.Client.Do(ctx, func() error {
						_, err := addTunnel(52, 0, false)
						return errors.Join(err, addRule(5270, 52))
					})
				},
			}))
			scene.Works(t, r)
			scene.BothWays(t, r)
			says(t, notices(t, r, "rule"), "5270: from all lookup 52", "Tailscale", "dsl0, lte0", "over tun0", "passes it by")
		})
	}
}

// TestTunnelIsNoPath: a VPN whose default route is the best one is no path, because it
// runs over one; status says why. Asked for, it is.
func TestTunnelIsNoPath(t *testing.T) {
	t.Parallel()
	cfg := scene.Steered(scene.ClientLinks())
	cfg.Prepare = func(ctx context.Context, topo *netns.Topology) error {
		return topo.Client.Do(ctx, func() error {
			files, err := addTunnel(unix.RT_TABLE_MAIN, 50, true)
			t.Cleanup(func() {
				for _, f := range files {
					_ = f.Close()
				}
			})
			return err
		})
	}
	r := scene.Start(t, cfg)
	scene.Works(t, r)
	scene.PathIs(t, r, "tun0", false)
	for _, p := range scene.StatusOf(t, r).Paths {
		if p.Name == "dsl0" && p.Rank != 1 {
			t.Errorf("dsl0 has rank %d", p.Rank)
		}
	}
	says(t, scene.TextOf(t, r), "a tunnel (tun), which runs over another path")
}

// TestAlternativeName: --path takes an alternative name of an interface; a path
// follows its interface when that gets another name.
func TestAlternativeName(t *testing.T) {
	t.Parallel()
	cfg := scene.Steered(scene.ClientLinks())
	cfg.ClientArgs = []string{"--path", "wandsl0", "--path", "lte0"}
	cfg.Prepare = func(ctx context.Context, topo *netns.Topology) error {
		return topo.Client.Do(ctx, func() error {
			i, err := netlink.LinkByName("dsl0")
			if err != nil {
				return err
			}
			return netlink.LinkAddAltName(i, "wandsl0")
		})
	}
	r := scene.Start(t, cfg)
	scene.PathIs(t, r, "dsl0", true)
	scene.Works(t, r)
	err := r.Client.Do(t.Context(), func() error {
		i, err := netlink.LinkByName("dsl0")
		if err != nil {
			return err
		}
		return netlink.LinkSetName(i, "dsl9")
	})
	if err != nil {
		t.Fatal(err)
	}
	scene.Eventually(t, "the new name in the status", func() string {
		for _, p := range scene.StatusOf(t, r).Paths {
			if p.Name == "dsl0" && p.Interface == "dsl9" && p.State == "up" {
				return ""
			}
		}
		return fmt.Sprintf("%+v", scene.StatusOf(t, r).Paths)
	})
	scene.Works(t, r)
	d := scene.StartDownload(t, r, scene.NewGate(t, scene.TransferSize/2), scene.TransferSize)
	d.Gate.Wait(t)
	scene.GainsSubflow(t, r, "dsl0")
	scene.GainsSubflow(t, r, "lte0")
	d.Finish(t)
}

// TestOtherTable: a default route outside the main table is used where the path says
// so; without that, status says that it exists.
func TestOtherTable(t *testing.T) {
	t.Parallel()
	move := func(ctx context.Context, topo *netns.Topology) error {
		return topo.Client.Do(ctx, func() error {
			i, err := netlink.LinkByName("lte0")
			if err != nil {
				return err
			}
			gateway := net.IP(topo.Links[1].Gateway4.AsSlice())
			r := netlink.Route{LinkIndex: i.Attrs().Index, Dst: anywhere, Gw: gateway, Priority: 200}
			there := r
			there.Table = 100
			return errors.Join(netlink.RouteDel(&r), netlink.RouteAdd(&there))
		})
	}
	links := scene.Families(scene.ClientLinks(), []bool{true, true}, []bool{false, false})
	for _, named := range []bool{false, true} {
		cfg := scene.Steered(links)
		cfg.Prepare = move
		if named {
			paths := "\n[[path]]\ninterface = \"dsl0\"\n[[path]]\ninterface = \"lte0\"\ntable = 100\n"
			cfg.EditClient = scene.Both(cfg.EditClient, func(toml string) string { return toml + paths })
		}
		r := scene.Start(t, cfg)
		scene.PathIs(t, r, "lte0", named)
		if !named {
			says(t, scene.TextOf(t, r), "there is one in table 100", "table = 100")
			continue
		}
		d := scene.StartDownload(t, r, scene.NewGate(t, scene.TransferSize/2), scene.TransferSize)
		d.Gate.Wait(t)
		scene.GainsSubflow(t, r, "lte0")
		d.Finish(t)
	}
}

// TestMissingFamily: over IPv6 alone a server whose link is an IPv4 address cannot be
// reached, and the log says why.
func TestMissingFamily(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, rig.Config{
		Links: scene.Families(scene.ClientLinks(), []bool{false, false}, []bool{true, true}), NoClient: true,
	})
	scene.RunWith(t, r, r.Link)
	scene.Saw(t, r.ClientDaemon, "no path has an address of the family IPv4")
	says(t, r.ClientDaemon.Output(), "bring up a path with addresses of that family")
}

// TestListenAddressComesLater: applications may be served on an address that no
// interface has yet.
func TestListenAddressComesLater(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, rig.Config{
		Links: scene.ClientLinks(), EditClient: scene.With("socks.allow_open = true", `socks.listen = ["192.0.2.199:1080"]`),
	})
	scene.Saw(t, r.ClientDaemon, "no interface of this host has the address to listen on")
	err := r.Client.Do(t.Context(), func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		addr, err := netlink.ParseAddr("192.0.2.199/32")
		return errors.Join(err, netlink.AddrAdd(lo, addr))
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.Client.Command(t.Context(), scene.Need(t, "curl"), "-sS", "--fail", "--proxy", "socks5h://192.0.2.199:1080",
		"http://"+netns.DestinationName+"/bytes/1000").Output()
	if err != nil || len(out) != 1000 {
		t.Errorf("%d bytes: %v", len(out), err)
	}
}
