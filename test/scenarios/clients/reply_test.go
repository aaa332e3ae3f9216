package clients

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

func TestReplyCodes(t *testing.T) {
	t.Parallel()
	for _, security := range []string{"tls", "none"} {
		t.Run(security, func(t *testing.T) {
			t.Parallel()
			replyCodes(t, security)
		})
	}
}

func replyCodes(t *testing.T, security string) {
	r := scene.Start(t, rig.Config{
		Security:   security,
		EditServer: scene.With(`limits.connect_timeout = "500ms"`, `destinations.deny = ["203.0.113.200/32"]`),
		Prepare:    specialRoutes,
		Names: []netns.NameEntry{
			{Addr: netip.MustParseAddr("10.1.2.3"), Name: "inside.example"},
			{Addr: netip.MustParseAddr("203.0.113.129"), Name: "half.example"},
			{Addr: netip.MustParseAddr("fd00::1"), Name: "half.example"},
		},
	})
	for _, tt := range []struct {
		name string
		cmd  byte
		host string
		port uint16
		want byte
	}{
		{"IPv4", scene.CmdConnect, "203.0.113.129", 7, scene.RepSucceeded},
		{"IPv6", scene.CmdConnect, "2001:db8:101::2", 7, scene.RepSucceeded},
		{"name", scene.CmdConnect, "dest.example", 7, scene.RepSucceeded},
		{"address as a name", scene.CmdConnect, "203.0.113.129", 7, scene.RepSucceeded},
		{"name with a forbidden address besides", scene.CmdConnect, "half.example", 7, scene.RepSucceeded},

		{"refused port", scene.CmdConnect, "203.0.113.129", 81, scene.RepRefused},
		{"refused port, IPv6", scene.CmdConnect, "2001:db8:101::2", 81, scene.RepRefused},
		{"refused port, name", scene.CmdConnect, "dest.example", 81, scene.RepRefused},
		{"no route", scene.CmdConnect, noRoute4, 80, scene.RepNetUnreachable},
		{"no route, IPv6", scene.CmdConnect, noRoute6, 80, scene.RepNetUnreachable},
		{"unreachable host", scene.CmdConnect, unreachableHost, 80, scene.RepHostUnreach},
		{"unknown name", scene.CmdConnect, "nowhere.example", 80, scene.RepHostUnreach},
		{"timeout", scene.CmdConnect, silentHost, 80, scene.RepTTLExpired},

		{"loopback", scene.CmdConnect, "127.0.0.1", 7, scene.RepNotAllowed},
		{"loopback, IPv6", scene.CmdConnect, "::1", 7, scene.RepNotAllowed},
		{"loopback in IPv6", scene.CmdConnect, "::ffff:127.0.0.1", 7, scene.RepNotAllowed},
		{"loopback by name", scene.CmdConnect, "localhost", 7, scene.RepNotAllowed},
		{"private", scene.CmdConnect, "10.0.0.1", 7, scene.RepNotAllowed},
		{"beside the concentrator, in its own network", scene.CmdConnect, r.Topology.Links[0].Client4.String(), 7, scene.RepNotAllowed},
		{"mail between servers", scene.CmdConnect, netns.DestinationName, 25, scene.RepNotAllowed},
		{"by NAT64, a cloud's metadata", scene.CmdConnect, "64:ff9b::169.254.169.254", 80, scene.RepNotAllowed},
		{"private by name", scene.CmdConnect, "inside.example", 7, scene.RepNotAllowed},
		{"link-local", scene.CmdConnect, "169.254.1.1", 7, scene.RepNotAllowed},
		{"unique-local", scene.CmdConnect, "fd00::1", 7, scene.RepNotAllowed},
		{"multicast", scene.CmdConnect, "224.0.0.1", 7, scene.RepNotAllowed},
		{"unspecified", scene.CmdConnect, "0.0.0.0", 7, scene.RepNotAllowed},
		{"the concentrator itself", scene.CmdConnect, "203.0.113.1", rig.Port, scene.RepNotAllowed},
		{"denied by configuration", scene.CmdConnect, "203.0.113.200", 80, scene.RepNotAllowed},
		{"port 0", scene.CmdConnect, "203.0.113.129", 0, scene.RepNotAllowed},

		{"BIND", scene.CmdBind, "203.0.113.129", 7, scene.RepCommand},
		{"UDP ASSOCIATE", scene.CmdAssociate, "0.0.0.0", 0, scene.RepCommand},
		{"no command at all", 9, "203.0.113.129", 7, scene.RepCommand},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, reply := scene.Ask(t, r, scene.Credentials{}, tt.cmd, tt.host, tt.port)
			if reply != tt.want {
				t.Errorf("reply %d, want %d", reply, tt.want)
			}
			if reply == scene.RepSucceeded {
				scene.Echo(t, c)
			} else if n, err := io.Copy(io.Discard, c); n != 0 || err != nil {
				t.Errorf("behind the refusal: %d bytes, %v; want a clean end", n, err)
			}
			c.Close()
		})
	}
	t.Run("no address type at all", func(t *testing.T) {
		c := scene.DialSocks(t, r)
		if reply, err := scene.Converse(c, scene.Credentials{}, []byte{5, scene.CmdConnect, 0, 9, 1, 2, 3, 4, 0, 80}); reply != scene.RepAddressType {
			t.Errorf("reply %d, %v; want %d", reply, err, scene.RepAddressType)
		}
	})
	scene.NothingLingers(t, r.ClientDaemon, r.Server)
	if st := scene.StatusOf(t, r); st.Server.State != "ok" || st.Totals.Live != 0 || st.Totals.Failed == 0 {
		t.Errorf("after failed destinations: server %q, totals %+v", st.Server.State, st.Totals)
	}
}

// specialRoutes gives the concentrator destinations that fail in their own way:
// unreachableHost answers that it is, silentHost does not answer at all (the
// destination host drops what is not for it).
func specialRoutes(ctx context.Context, topo *netns.Topology) error {
	return topo.Concentrator.Do(ctx, func() error {
		wan, err := netlink.LinkByName("wan0")
		if err != nil {
			return err
		}
		unreachable, err := netlink.ParseIPNet(unreachableHost + "/32")
		if err != nil {
			return err
		}
		silent, err := netlink.ParseIPNet(silentHost + "/32")
		if err != nil {
			return err
		}
		return errors.Join(
			netlink.RouteAdd(&netlink.Route{Dst: unreachable, Type: unix.RTN_UNREACHABLE}),
			netlink.RouteAdd(&netlink.Route{Dst: silent, LinkIndex: wan.Attrs().Index, Gw: topo.Destination4.AsSlice()}))
	})
}

const (
	unreachableHost = "198.51.100.240"
	silentHost      = "198.51.100.250"
	noRoute4        = "192.0.2.250"
	noRoute6        = "2001:db8:ffff::1"
)
