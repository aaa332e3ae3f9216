package rtowatch_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"mpproxy/mptcpsock"
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

// TestFirstWindow wants a path that is far away to begin with more than ten segments,
// and one that is near not to.
func TestFirstWindow(t *testing.T) {
	needBBR(t)
	watch(t, rtowatch.Config{TimeoutsOnly: true, Backlog: true})
	h := newHostsApart(t, "v4", 5*time.Millisecond, 50*time.Millisecond)
	client, server := h.connect(t, "v4")
	for name, c := range map[string]*mptcpsock.Conn{"client": client, "server": server} {
		conns.AwaitSubflows(t, c, 2)
		near, far := linkAddrs[0]["v4"], linkAddrs[1]["v4"]
		side := 0
		if name == "server" {
			side = 1
		}
		if got := subflowOn(t, c, near[side].Addr()).TCP.SndCwnd; got > 16 {
			t.Errorf("%s: %d segments on the near path, want 10 or a few more", name, got)
		}
		if got := subflowOn(t, c, far[side].Addr()).TCP.SndCwnd; got < 25 || got > 48 {
			t.Errorf("%s: %d segments on the far path, want what 500 kB/s are in 100 ms", name, got)
		}
	}
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
