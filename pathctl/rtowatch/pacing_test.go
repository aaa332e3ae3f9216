package rtowatch_test

import (
	"os"
	"strings"
	"testing"

	"mpproxy/pathctl/rtowatch"
	"mpproxy/test/conns"
)

// TestFirstPace wants no subflow to begin at a rate that nobody has measured: bbr
// begins with what ten segments in a round trip make, which is more even at 10 ms.
func TestFirstPace(t *testing.T) {
	needBBR(t)
	watch(t, rtowatch.Config{TimeoutsOnly: true, Backlog: true})
	h := newHosts(t, "v4")
	client, server := h.connect(t, "v4")
	const most = 4_000_000
	for _, s := range append(conns.AwaitSubflows(t, client, 2), conns.AwaitSubflows(t, server, 2)...) {
		if s.TCP.DataSegsOut < 2 && s.TCP.PacingRate > most {
			t.Errorf("%v begins at %d bytes/s, want %d at most", s.Local, s.TCP.PacingRate, most)
		}
	}
	pump(t, client, server)
	local := linkAddrs[1]["v4"][0].Addr()
	conns.Until(t, "a rate above the first one", func() bool { return subflowOn(t, client, local).TCP.PacingRate > most })
}

// needBBR skips where sockets begin with another congestion control.
func needBBR(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	must(t, err)
	if name := strings.TrimSpace(string(text)); name != "bbr" {
		t.Skip("the bound is for bbr, this is ", name)
	}
}
