package paths

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestOnlyPathGetsAnotherAddress: transfers live on when the only path loses its address
// and gets another one, as from DHCP after a roam or behind carrier-grade NAT.
func TestOnlyPathGetsAnotherAddress(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"aggregate", "handover", "interactive", "single"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := scene.Start(t, scene.Steered([]netns.LinkConfig{{Name: "wifi0", V4: true, Params: rig.DSLAndLTE()[0].Params}}, `mode = "`+mode+`"`))
			const size = 8 << 20
			down, up := scene.StartDownload(t, r, scene.NewGate(t, size/4), size), scene.StartUpload(t, r, scene.NewGate(t, size/4), size)
			down.Gate.Wait(t)
			up.Gate.Wait(t)
			if err := moveAddress(t.Context(), r, r.Links[0], 300*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			down.Gate.Next()
			up.Gate.Next()
			down.Finish(t)
			up.Finish(t)
		})
	}
}

// moveAddress takes a link's address away, and gives it another one after a while.
func moveAddress(ctx context.Context, r *rig.Rig, l *netns.Link, gap time.Duration) error {
	var def *netlink.Route
	err := inClient(ctx, r, l, func(i netlink.Link) (err error) {
		if def, err = defaultOf(i); err != nil {
			return err
		}
		return netlink.AddrDel(i, address(l.Client4, l))
	})
	if err != nil {
		return err
	}
	time.Sleep(gap)
	return inClient(ctx, r, l, func(i netlink.Link) error {
		return errors.Join(netlink.AddrAdd(i, address(l.Client4.Next(), l)), netlink.RouteReplace(def))
	})
}
