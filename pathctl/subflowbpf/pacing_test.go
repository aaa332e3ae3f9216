package subflowbpf_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/pathctl/subflowbpf"
	"mpproxy/test/conns"
)

// TestFirstPace wants no subflow to begin at a rate that nobody has measured: bbr
// begins with what ten segments in a round trip make, which is more even at 10 ms.
func TestFirstPace(t *testing.T) {
	needBBR(t)
	watch(t, subflowbpf.Config{TimeoutsOnly: true, Backlog: true})
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

// TestFirstWindow wants a path that is far away to begin with what it carries in a
// round trip, and with the usual ten segments where that is less, or where it is one of
// several on it.
func TestFirstWindow(t *testing.T) {
	needBBR(t)
	w := watch(t, subflowbpf.Config{TimeoutsOnly: true, Backlog: true})
	for _, family := range []string{"v4", "v6"} {
		for _, tt := range []struct {
			name        string
			delay       time.Duration // of the second path, one way
			rate        uint64        // told of it, bytes a second; 0: none
			modest      bool
			least, most uint32 // segments
		}{
			{"near", 5 * time.Millisecond, 0, false, 10, 16},
			{"far", 50 * time.Millisecond, 0, false, 25, 48},
			{"far and slow", 50 * time.Millisecond, 100_000, false, 10, 16},
			{"far and fast", 50 * time.Millisecond, 10_000_000, false, 48, 48},
			{"one of several", 50 * time.Millisecond, 10_000_000, true, 10, 16},
		} {
			t.Run(family+"/"+tt.name, func(t *testing.T) {
				h := newHostsApart(t, family, 20*time.Millisecond, tt.delay)
				path := linkAddrs[1][family]
				if tt.rate > 0 {
					must(t, w.SetFirstRate(path[0].Addr(), tt.rate)) // both ends know it by the client's address
				}
				client, server := h.connectWith(t, family, func(c *mptcpsock.Conn) {
					token, err := c.Token()
					must(t, err)
					must(t, w.SetLimits(token, subflowbpf.Limits{Linger: time.Minute, Modest: tt.modest}))
				})
				for side, c := range []*mptcpsock.Conn{client, server} {
					conns.AwaitSubflows(t, c, 2)
					if got := subflowOn(t, c, path[side].Addr()).TCP.SndCwnd; got < tt.least || got > tt.most {
						t.Errorf("end %d: %d segments, want %d to %d", side, got, tt.least, tt.most)
					}
				}
			})
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
