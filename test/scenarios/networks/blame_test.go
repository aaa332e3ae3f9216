package networks

import (
	"net"
	"strings"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestPortalOnTheOnlyPath: where somebody else answers in the concentrator's place on the
// only path, status and log blame that path and say what was met, and not the
// concentrator. When the portal is gone, connections work again.
func TestPortalOnTheOnlyPath(t *testing.T) {
	t.Parallel()
	for _, family := range []string{"IPv4", "IPv6"} {
		t.Run(family, func(t *testing.T) {
			t.Parallel()
			cfg := scene.Steered([]netns.LinkConfig{{Name: "wifi0", V4: family == "IPv4", V6: family == "IPv6", Params: rig.DSLAndLTE()[0].Params}})
			cfg.NoClient = true
			if family == "IPv6" {
				cfg.Host = "2001:db8:100::1"
			}
			r := scene.Start(t, cfg)
			if err := r.Join(t.Context()); err != nil {
				t.Fatal(err)
			}
			scene.Portal(t, r, r.Links[0], func(c net.Conn) { _ = c.Close() })
			if err := r.StartClient(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := scene.StartDownload(t, r, scene.NewGate(t), 20_000, "--max-time", "20").End(t); err == nil {
				t.Fatal("a fetch through a portal succeeded")
			}
			told := scene.TextOf(t, r) + string(r.ClientDaemon.Output())
			for _, want := range []string{"wifi0", "captive portal", "sign in"} {
				if !strings.Contains(told, want) {
					t.Errorf("status and log do not say %q", want)
				}
			}
			for _, bad := range []string{"server does not speak TLS", "the server's log"} {
				if strings.Contains(told, bad) {
					t.Errorf("status or log says %q", bad)
				}
			}
			if t.Failed() {
				t.Log(told)
			}
			scene.Middlebox(t, r, "delete table inet portal")
			fetch(t, r)
		})
	}
}

// TestPortalOnTheSecondPath: somebody else answers on the second path: connections work
// over the first, and events name the second and what was met.
func TestPortalOnTheSecondPath(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, scene.Steered(rig.DSLAndLTE()))
	scene.Portal(t, r, r.Links[1], func(c net.Conn) { _ = c.Close() })
	for range 2 {
		scene.StartDownload(t, r, scene.NewGate(t), 2_000_000, "--max-time", "20").Finish(t)
	}
	if told := scene.EventsOf(t, r) + scene.TextOf(t, r); !strings.Contains(told, "lte0") || !strings.Contains(told, "failed lte0") {
		t.Errorf("nothing is said of lte0:\n%s", told)
	}
}
