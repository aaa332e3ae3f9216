package networks

import (
	"testing"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// oneWay is a single path.
func oneWay() []netns.LinkConfig { return rig.DSLAndLTE()[:1] }

// TestOnlyPathLosesState: connections live on when the box on the only path loses its
// state, in whichever direction they send, and whether the box is silent or resets what
// it does not know: the path works for a new subflow.
func TestOnlyPathLosesState(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"aggregate", "handover", "interactive", "single"} {
		for name, box := range map[string]link.Middlebox{"silent": {Idle: time.Hour}, "resets": {Idle: time.Hour, Reset: true}} {
			t.Run(mode+", "+name, func(t *testing.T) {
				t.Parallel()
				cfg := scene.Steered(oneWay(), `mode = "`+mode+`"`)
				cfg.Prepare, cfg.EditServer = scene.SmallBuffers, scene.Both(cfg.EditServer, scene.SmallReceiveBuffer)
				r := scene.Start(t, cfg)
				stateful(t, box, r.Links...)
				const size = 8 << 20
				up := scene.StartUpload(t, r, scene.NewGate(t, size/4), size)
				down := scene.StartDownload(t, r, scene.NewGate(t, size/4), size)
				up.Gate.Wait(t)
				down.Gate.Wait(t)
				loses(t, r.Links...)
				up.Gate.Next()
				down.Gate.Next()
				up.Finish(t)
				down.Finish(t)
				t.Log(scene.EventsOf(t, r))
			})
		}
	}
}

// TestStateLostWhileIdle: the box on one path loses its state while a connection is idle,
// and later the other path goes dark: the connection goes on over the first one.
func TestStateLostWhileIdle(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"aggregate", "handover", "interactive"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := scene.Start(t, scene.Steered(rig.DSLAndLTE(), `mode = "`+mode+`"`))
			stateful(t, link.Middlebox{Idle: time.Hour}, r.Links...)
			c := scene.Through(t, r, r.Destination4.String(), 7)
			scene.Echo(t, c)
			loses(t, r.Links[0])
			time.Sleep(3 * time.Second) // idle
			if err := r.Links[1].SetBlackhole(true); err != nil {
				t.Fatal(err)
			}
			scene.Echo(t, c)
			t.Log(scene.EventsOf(t, r))
		})
	}
}
