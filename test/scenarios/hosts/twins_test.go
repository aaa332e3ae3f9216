package hosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"mpproxy/internal/status"
	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// configure gives an interface of a host an address and, where there is a gateway, a
// default route.
func configure(ctx context.Context, h *netns.Host, name, cidr, gateway string, metric int) error {
	return h.Do(ctx, func() error {
		i, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		addr, err := netlink.ParseAddr(cidr)
		if err != nil {
			return err
		}
		err = errors.Join(netlink.AddrAdd(i, addr), netlink.LinkSetUp(i))
		if gateway != "" {
			err = errors.Join(err, netlink.RouteAdd(&netlink.Route{
				LinkIndex: i.Attrs().Index, Dst: anywhere, Gw: net.ParseIP(gateway), Priority: metric,
			}))
		}
		return err
	})
}

// A modem gives its only client the address 192.0.2.100 and translates it, as all of
// its model do. It is a host between client and concentrator.
type modem struct {
	*netns.Host
	lan, wan *link.Link
}

// plugIn joins the n-th modem, from 0: at the client it is modemN.
func plugIn(ctx context.Context, t *testing.T, topo *netns.Topology, n int) (m modem, err error) {
	name := fmt.Sprintf("modem%d", n)
	if m.Host, err = netns.NewHost(ctx, netns.HostConfig{Name: name, Forward: true}); err != nil {
		return m, err
	}
	t.Cleanup(func() { errors.Join(m.lan.Close(), m.wan.Close(), m.Close()) })
	if m.lan, err = link.New(ctx, link.Config{A: link.End{NS: topo.Client, Name: name}, B: link.End{NS: m.Host, Name: "lan0"}, Kind: link.Veth}); err != nil {
		return m, err
	}
	if m.wan, err = link.New(ctx, link.Config{A: link.End{NS: m.Host, Name: "wan0"}, B: link.End{NS: topo.Concentrator, Name: name}, Kind: link.Veth}); err != nil {
		return m, err
	}
	// Each modem has a network of its own behind it, in 198.51.100.128/25.
	gateway, own := fmt.Sprintf("198.51.100.%d", 129+8*n), fmt.Sprintf("198.51.100.%d/29", 130+8*n)
	return m, errors.Join(
		configure(ctx, topo.Client, name, "192.0.2.100/24", "192.0.2.1", 500+n),
		configure(ctx, m.Host, "lan0", "192.0.2.1/24", "", 0),
		configure(ctx, topo.Concentrator, name, gateway+"/29", "", 0),
		configure(ctx, m.Host, "wan0", own, gateway, 0),
		m.nft(ctx, "add table ip twin"),
		m.nft(ctx, "add chain ip twin post { type nat hook postrouting priority 100 ; }"),
		m.nft(ctx, "add rule ip twin post oifname wan0 masquerade"),
	)
}

func (m modem) nft(ctx context.Context, command string) error {
	return m.Command(ctx, "nft", command).Run()
}

// goDark makes a modem swallow what it should forward.
func (m modem) goDark(ctx context.Context) error {
	return m.nft(ctx, "add chain ip twin dark { type filter hook forward priority 0 ; policy drop ; }")
}

// TestTwinModems: two interfaces with one address, behind one gateway address each,
// are two paths; when the first is dark, the second serves.
func TestTwinModems(t *testing.T) {
	t.Parallel()
	scene.Need(t, "nft")
	var first modem
	r := scene.Start(t, scene.ManagedBy("userspace", rig.Config{
		Links: []netns.LinkConfig{{Name: "eth0"}},
		Prepare: func(ctx context.Context, topo *netns.Topology) (err error) {
			first, err = plugIn(ctx, t, topo, 0)
			_, err2 := plugIn(ctx, t, topo, 1)
			return errors.Join(err, err2, topo.Links[0].Disconnect(ctx))
		},
	}))
	scene.PathIs(t, r, "modem0", true)
	scene.PathIs(t, r, "modem1", true)
	d := scene.StartDownload(t, r, scene.NewGate(t, scene.TransferSize/2), scene.TransferSize)
	d.Gate.Wait(t)
	scene.Eventually(t, "a subflow on each modem", func() string {
		fs := scene.StatusOf(t, r).Connections[0].Subflows
		for _, name := range []string{"modem0", "modem1"} {
			if !slices.ContainsFunc(fs, func(f status.Subflow) bool { return f.Path == name && f.Local.Addr().String() == "192.0.2.100" }) {
				return fmt.Sprintf("none on %s: %+v", name, fs)
			}
		}
		return ""
	})
	if err := first.goDark(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Finish(t)
	scene.Works(t, r)
	scene.Works(t, r)
}
