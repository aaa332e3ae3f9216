package scenarios

import (
	"testing"

	"mpproxy/test/netns/rig"
)

func TestFirstLight(t *testing.T) {
	curl := need(t, "curl")
	r := start(t, rig.Config{Links: rig.DSLAndLTE()})
	out, err := r.Topology.Client.Command(t.Context(), curl, "-sS", "--socks5-hostname", rig.Socks, "-o", "/dev/null", "-w", "%{speed_download} %{http_code} %{time_total}\n", "http://dest.example/bytes/60M").CombinedOutput()
	t.Logf("%s %v", out, err)
	st, err := r.Status(t.Context())
	t.Logf("%+v %v", st, err)
	t.Log(r.Server.Output())
	t.Log(r.ClientDaemon.Output())
}
