package paths

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/internal/status"
	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

const lifeSize = 24_000_000

// lifeStops: two stops around the incident, and many when the path is well, so
// that a subflow that a loaded machine made look dead can return at each.
func lifeStops() (all []int64) {
	for _, twelfth := range []int64{1, 4, 5, 6, 7, 8, 9, 10, 11} {
		all = append(all, lifeSize*twelfth/12)
	}
	return all
}

// An incident is something that happens to a path in the middle of transfers.
type incident struct {
	name string
	path int // index of the link that it happens to
	do   func(context.Context, *rig.Rig, *netns.Link) error
	// heal undoes it; nil: there is nothing to undo.
	heal func(context.Context, *rig.Rig, *netns.Link) error
	down bool // status says so between do and heal
	kept bool // subflows may live through it
	both bool // also with the kernel's path manager
	six  bool // the links have IPv6 addresses, too
}

var incidents = []incident{
	{name: "carrier lost", both: true, six: true, down: true, do: plug(false), heal: plug(true)},
	{name: "carrier lost on the second link", path: 1, both: true, six: true, down: true, do: plug(false), heal: plug(true)},
	{name: "disconnected by a network manager", both: true, six: true, down: true, do: disconnect, heal: reconnect},
	{name: "second link disconnected by a network manager", path: 1, six: true, down: true, do: disconnect, heal: reconnect},
	{name: "link set down", both: true, down: true, do: setDown, heal: reconnect},
	{name: "address lost", down: true, do: deleteAddress, heal: reconnect},
	{name: "address renewed, the new one first", both: true, do: renew(true)},
	{name: "address renewed, the old one removed first", do: renew(false)},
	{name: "interface gone, and back under a new index", both: true, down: true, do: takeAway, heal: bringBack},
	{name: "default route lost", down: true, do: deleteDefault, heal: reconnect},
	{name: "default route gets another metric", do: changeMetric(900), kept: true},
	{name: "default route removed and added at once", do: moveDefault, kept: true},
	{name: "another gateway", both: true, do: changeGateway, kept: true},
	{name: "client stands still while an address is renewed", do: whileStopped(renew(false))},
}

// TestPathLife: whatever happens to a path, transfers in both directions go on
// over the other one, without the loss of a byte, and use it again when it is
// well. Other connections can be made all the time.
func TestPathLife(t *testing.T) {
	t.Parallel()
	for _, manager := range scene.Managers {
		for _, in := range incidents {
			if manager == "kernel" && !in.both {
				continue // netpath does the same for both; what differs is who makes the subflows
			}
			t.Run(manager+", "+in.name, func(t *testing.T) {
				t.Parallel()
				in.run(t, manager)
			})
		}
	}
}

func (in incident) run(t *testing.T, manager string) {
	edit := scene.Both(scene.SmallReceiveBuffer, scene.With(`log.level = "debug"`))
	r := scene.Start(t, scene.ManagedBy(manager, rig.Config{
		Links:      scene.Families(rig.Pair(60, 5, 40, 10), []bool{true, true}, []bool{in.six, in.six}),
		EditClient: edit, EditServer: edit, Prepare: scene.SmallBuffers,
	}))
	stops := lifeStops()
	down := scene.StartDownload(t, r, scene.NewGate(t, stops...), lifeSize)
	up := scene.StartUpload(t, r, scene.NewGate(t, stops...), lifeSize)
	down.Gate.Wait(t)
	up.Gate.Wait(t)
	link := r.Links[in.path]
	everyTransferOn(t, r, r.Links[0].Name, nil)
	everyTransferOn(t, r, r.Links[1].Name, nil)
	old := transferEnds(t, r, link.Name)
	if err := in.do(t.Context(), r, link); err != nil {
		t.Fatal(err)
	}
	nextStop(t, down.Gate, up.Gate)
	scene.Works(t, r)
	if in.down {
		scene.PathIs(t, r, link.Name, false)
	}
	if in.heal != nil {
		if err := in.heal(t.Context(), r, link); err != nil {
			t.Fatal(err)
		}
	}
	if in.kept {
		old = nil
	}
	everyTransferOn(t, r, link.Name, old)
	scene.PathIs(t, r, link.Name, true)
	received, sent := carried(link)
	for range stops[2:] {
		nextStop(t, down.Gate, up.Gate)
		everyTransferOn(t, r, link.Name, old)
	}
	down.Finish(t)
	up.Finish(t)
	nowReceived, nowSent := carried(link)
	const least = lifeSize / 100
	if nowReceived-received < least || nowSent-sent < least {
		t.Errorf("the path that is well carried %d bytes down and %d up", nowReceived-received, nowSent-sent)
	}
	scene.Works(t, r)
}

// nextStop lets transfers run to their next stops.
func nextStop(t *testing.T, gates ...*scene.Gate) {
	t.Helper()
	for _, g := range gates {
		g.Next()
	}
	for _, g := range gates {
		g.Wait(t)
	}
}

func carried(l *netns.Link) (down, up uint64) {
	return l.Counters(netns.Downstream).DeliveredBytes, l.Counters(netns.Upstream).DeliveredBytes
}

// transfers are the connections of the status that carry a transfer.
func transfers(st status.Status) []status.Connection {
	return slices.DeleteFunc(st.Connections, func(c status.Connection) bool { return !strings.HasSuffix(c.Destination, ":80") })
}

// transferEnds are the local ends of the transfers' subflows on a path.
func transferEnds(t *testing.T, r *rig.Rig, path string) (ends []netip.AddrPort) {
	t.Helper()
	for _, c := range transfers(scene.StatusOf(t, r)) {
		for _, f := range c.Subflows {
			if f.Path == path {
				ends = append(ends, f.Local)
			}
		}
	}
	return ends
}

// everyTransferOn waits until each of the two transfers has a subflow on a path
// that is none of the old ones.
func everyTransferOn(t *testing.T, r *rig.Rig, path string, old []netip.AddrPort) {
	t.Helper()
	scene.Eventually(t, "subflows on "+path, func() string {
		cs := transfers(scene.StatusOf(t, r))
		for _, c := range cs {
			if !slices.ContainsFunc(c.Subflows, func(f status.Subflow) bool { return f.Path == path && !slices.Contains(old, f.Local) }) {
				return fmt.Sprintf("%s has %+v, and old are %v", c.Destination, c.Subflows, old)
			}
		}
		if len(cs) != 2 {
			return fmt.Sprintf("%d transfers", len(cs))
		}
		return ""
	})
}

// inClient runs do in the client, with the interface of a link.
func inClient(ctx context.Context, r *rig.Rig, l *netns.Link, do func(netlink.Link) error) error {
	return r.Client.Do(ctx, func() error {
		i, err := netlink.LinkByName(l.Name)
		if err != nil {
			return fmt.Errorf("find %s: %w", l.Name, err)
		}
		return do(i)
	})
}

func plug(in bool) func(context.Context, *rig.Rig, *netns.Link) error {
	return func(_ context.Context, _ *rig.Rig, l *netns.Link) error { return l.SetCarrier(in) }
}

func setDown(ctx context.Context, r *rig.Rig, l *netns.Link) error {
	return inClient(ctx, r, l, netlink.LinkSetDown)
}

func disconnect(ctx context.Context, _ *rig.Rig, l *netns.Link) error { return l.Disconnect(ctx) }

func reconnect(ctx context.Context, _ *rig.Rig, l *netns.Link) error { return l.Connect(ctx) }

func address(a netip.Addr, l *netns.Link) *netlink.Addr {
	ip, err := netlink.ParseAddr(netip.PrefixFrom(a, l.Network4.Bits()).String())
	if err != nil {
		panic(err) // of valid addresses
	}
	return ip
}

func deleteAddress(ctx context.Context, r *rig.Rig, l *netns.Link) error {
	return inClient(ctx, r, l, func(i netlink.Link) error { return netlink.AddrDel(i, address(l.Client4, l)) })
}

// renew gives the client another address on a link, as a DHCP client does when
// it gets another lease: in either order.
func renew(newFirst bool) func(context.Context, *rig.Rig, *netns.Link) error {
	return func(ctx context.Context, r *rig.Rig, l *netns.Link) error {
		// Else the second address of a network goes with the first one.
		if err := r.Client.SetSysctl(ctx, "net.ipv4.conf."+l.Name+".promote_secondaries", "1"); err != nil {
			return err
		}
		return inClient(ctx, r, l, func(i netlink.Link) error {
			def, err := defaultOf(i)
			if err != nil {
				return err
			}
			add := func() error { return netlink.AddrAdd(i, address(l.Client4.Next(), l)) }
			remove := func() error { return netlink.AddrDel(i, address(l.Client4, l)) }
			if newFirst {
				err = errors.Join(add(), remove())
			} else {
				err = errors.Join(remove(), add())
			}
			return errors.Join(err, netlink.RouteReplace(def))
		})
	}
}

// defaultOf returns the IPv4 default route through an interface.
func defaultOf(i netlink.Link) (*netlink.Route, error) {
	routes, err := netlink.RouteListFiltered(unix.AF_INET, &netlink.Route{LinkIndex: i.Attrs().Index, Table: unix.RT_TABLE_MAIN},
		netlink.RT_FILTER_OIF|netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		if r.Gw != nil {
			return &r, nil
		}
	}
	return nil, fmt.Errorf("no default route through %s", i.Attrs().Name)
}

func deleteDefault(ctx context.Context, r *rig.Rig, l *netns.Link) error {
	return editDefault(ctx, r, l, func(def *netlink.Route) error { return netlink.RouteDel(def) })
}

func editDefault(ctx context.Context, r *rig.Rig, l *netns.Link, edit func(*netlink.Route) error) error {
	return inClient(ctx, r, l, func(i netlink.Link) error {
		def, err := defaultOf(i)
		if err != nil {
			return err
		}
		return edit(def)
	})
}

// changeMetric makes the other link's default route the better one.
func changeMetric(to int) func(context.Context, *rig.Rig, *netns.Link) error {
	return func(ctx context.Context, r *rig.Rig, l *netns.Link) error {
		return editDefault(ctx, r, l, func(def *netlink.Route) error {
			moved := *def
			moved.Priority = to
			return errors.Join(netlink.RouteAdd(&moved), netlink.RouteDel(def))
		})
	}
}

// moveDefault leaves a moment without the route, as many programs do.
func moveDefault(ctx context.Context, r *rig.Rig, l *netns.Link) error {
	return editDefault(ctx, r, l, func(def *netlink.Route) error {
		moved := *def
		moved.Priority = 900
		return errors.Join(netlink.RouteDel(def), netlink.RouteAdd(&moved))
	})
}

// changeGateway lets the network have another router.
func changeGateway(ctx context.Context, r *rig.Rig, l *netns.Link) error {
	other := l.Client4.Next().Next()
	err := r.Concentrator.Do(ctx, func() error {
		i, err := netlink.LinkByName(l.Name)
		if err != nil {
			return err
		}
		return netlink.AddrAdd(i, address(other, l))
	})
	if err != nil {
		return err
	}
	return editDefault(ctx, r, l, func(def *netlink.Route) error {
		def.Gw = other.AsSlice()
		return netlink.RouteReplace(def)
	})
}

// takeAway makes the interface vanish from the client: what the kernel tells of
// one that is unplugged is the same. Its index is given to another one.
func takeAway(ctx context.Context, r *rig.Rig, l *netns.Link) error {
	return inClient(ctx, r, l, func(i netlink.Link) error {
		if err := netlink.LinkSetNsFd(i, r.Destination.NetNS()); err != nil {
			return err
		}
		squatter := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "squatter", Index: i.Attrs().Index}, PeerName: "squatter-end"}
		return netlink.LinkAdd(squatter)
	})
}

func bringBack(ctx context.Context, r *rig.Rig, l *netns.Link) error {
	err := r.Destination.Do(ctx, func() error {
		i, err := netlink.LinkByName(l.Name)
		if err != nil {
			return err
		}
		return netlink.LinkSetNsFd(i, r.Client.NetNS())
	})
	if err != nil {
		return err
	}
	return l.Connect(ctx)
}

// whileStopped does something while the client's process stands still: as near
// to a suspend as a machine that must stay awake comes. (The clocks that tell of
// a real one are simulated in package pathctl.)
func whileStopped(do func(context.Context, *rig.Rig, *netns.Link) error) func(context.Context, *rig.Rig, *netns.Link) error {
	return func(ctx context.Context, r *rig.Rig, l *netns.Link) error {
		if err := r.ClientDaemon.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		return errors.Join(do(ctx, r, l), r.ClientDaemon.Signal(syscall.SIGCONT))
	}
}
