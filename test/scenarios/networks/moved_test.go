package networks

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// hostsKept is for how long Go programs do not look at /etc/hosts again.
const hostsKept = 5 * time.Second

// TestConcentratorMoves: the name of the concentrator gets another address, and the old
// one goes dark or refuses: the next connection reaches the new one.
func TestConcentratorMoves(t *testing.T) {
	t.Parallel()
	moved := netip.MustParseAddr("203.0.113.2")
	for name, verdict := range map[string]string{"dark": "drop", "refuses": "reject with tcp reset"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := scene.Steered(rig.DSLAndLTE())
			cfg.Host = "moves.example"
			cfg.Names = []netns.NameEntry{{Addr: netip.MustParseAddr("203.0.113.1"), Name: cfg.Host}}
			r := scene.Start(t, cfg)
			fetch(t, r)
			err := r.Concentrator.Do(t.Context(), func() error {
				wan, err := netlink.LinkByName("wan0")
				return errors.Join(err, netlink.AddrAdd(wan, &netlink.Addr{IPNet: netlink.NewIPNet(moved.AsSlice())}))
			})
			if err != nil {
				t.Fatal(err)
			}
			scene.Middlebox(t, r, fmt.Sprintf(`table ip gone { chain in { type filter hook input priority filter; ip daddr %s tcp dport %d %s; }; }`, r.Concentrator4, rig.Port, verdict))
			err = r.Client.SetNames([]netns.NameEntry{{Addr: moved, Name: cfg.Host}, {Addr: r.Destination4, Name: netns.DestinationName}})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(hostsKept)
			for range 3 {
				scene.StartDownload(t, r, scene.NewGate(t), 20_000, "--max-time", "8").Finish(t)
			}
		})
	}
}
