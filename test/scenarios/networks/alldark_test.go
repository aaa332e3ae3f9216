package networks

import (
	"fmt"
	"testing"
	"time"

	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestAllPathsDark: transfers both ways and an idle connection live on when all paths are
// dark for longer than the kernel keeps a connection without subflows
// (net.mptcp.close_timeout, 60 s), whichever path is back first, and no path is given up
// for having been silent with the others.
func TestAllPathsDark(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		dark time.Duration
		back []int // the links that come back
	}{
		{30 * time.Second, []int{0, 1}},
		{100 * time.Second, []int{1}},
		{100 * time.Second, []int{0, 1}},
	} {
		t.Run(fmt.Sprintf("%v, back: %v", tt.dark, tt.back), func(t *testing.T) {
			t.Parallel()
			if testing.Short() {
				t.Skip("minutes of darkness")
			}
			cfg := scene.Steered(rig.DSLAndLTE())
			cfg.Prepare, cfg.EditServer = scene.SmallBuffers, scene.Both(cfg.EditServer, scene.SmallReceiveBuffer)
			r := scene.Start(t, cfg)
			const size = 8 << 20
			up := scene.StartUpload(t, r, scene.NewGate(t, size/4), size)
			down := scene.StartDownload(t, r, scene.NewGate(t, size/4), size)
			idle := scene.Through(t, r, r.Destination4.String(), 7)
			scene.Echo(t, idle)
			up.Gate.Wait(t)
			down.Gate.Wait(t)
			for _, l := range r.Links {
				if err := l.SetBlackhole(true); err != nil {
					t.Fatal(err)
				}
			}
			up.Gate.Next()
			down.Gate.Next()
			time.Sleep(tt.dark)
			healed := time.Now()
			for _, i := range tt.back {
				if err := r.Links[i].SetBlackhole(false); err != nil {
					t.Fatal(err)
				}
			}
			scene.Echo(t, idle)
			up.Finish(t)
			down.Finish(t)
			t.Logf("all done %v after the end of darkness", time.Since(healed).Round(100*time.Millisecond))
			t.Log(scene.EventsOf(t, r))
		})
	}
}
