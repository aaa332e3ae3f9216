package networks

import (
	"testing"

	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestFellBackCarriesOne: a connection to the concentrator that came up as plain TCP,
// because all paths stripped MPTCP for a while, carries one stream: the next one gets
// MPTCP.
func TestFellBackCarriesOne(t *testing.T) {
	t.Parallel()
	cfg := scene.Steered(rig.DSLAndLTE())
	cfg.NoClient = true
	r := scene.Start(t, cfg)
	if err := r.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, l := range r.Links {
		scene.StripMPTCP(t, r, l)
	}
	if err := r.StartClient(t.Context()); err != nil {
		t.Fatal(err)
	}
	fetch(t, r)
	if scene.StatusOf(t, r).Server.PlainTCP == "" {
		t.Fatal("MPTCP was not stripped")
	}
	scene.Middlebox(t, r, "delete table inet strip")
	down := scene.StartDownload(t, r, scene.NewGate(t, scene.TransferSize/4), scene.TransferSize/2)
	down.Gate.Wait(t)
	for _, c := range scene.StatusOf(t, r).Connections {
		if c.Protocol != "mptcp" {
			t.Errorf("a connection is plain TCP: %+v", c)
		}
	}
	down.Gate.Next()
	down.Finish(t)
}
