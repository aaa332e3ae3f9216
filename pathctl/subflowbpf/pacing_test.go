package subflowbpf_test

import (
	"cmp"
	"os"
	"strings"
	"testing"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
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
// round trip, and with the usual ten segments where that is less, or where the subflow is
// one of several on it.
func TestFirstWindow(t *testing.T) {
	needBBR(t)
	w := watch(t, subflowbpf.Config{TimeoutsOnly: true, Backlog: true})
	for _, family := range []string{"v4", "v6"} {
		for _, tt := range []struct {
			name   string
			delay  time.Duration // of the second path, one way
			rate   uint64        // told of it, bytes a second; 0: none
			modest bool
			least  uint32 // segments, on a machine that adds nothing to the delay
		}{
			{"near", 5 * time.Millisecond, 0, false, 10},
			{"far", 50 * time.Millisecond, 0, false, 34},
			{"far and slow", 50 * time.Millisecond, 100_000, false, 10},
			{"far and fast", 50 * time.Millisecond, 10_000_000, false, 48},
			{"one of several", 50 * time.Millisecond, 10_000_000, true, 10},
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
					tcp := subflowOn(t, c, path[side].Addr()).TCP
					want, next := uint32(10), uint32(10)
					if !tt.modest { // the kernel shows whole microseconds
						want, next = firstWindow(tcp, tcp.RTT, tt.rate), firstWindow(tcp, tcp.RTT+time.Microsecond, tt.rate)
					}
					if got := tcp.SndCwnd; got != want && got != next || got < tt.least {
						t.Errorf("end %d: %d segments at a round trip of %v, want %d, and at least %d", side, got, tcp.RTT, want, tt.least)
					}
				}
			})
		}
	}
}

// firstWindow is what a path of that rate carries in the round trip of the handshake: 10 to
// 48 segments. A busy machine makes the round trip longer than the emulated delay. No data
// was sent, so that the kernel knows no other round trip.
func firstWindow(tcp uapi.TCPInfo, rtt time.Duration, rate uint64) uint32 {
	rate = cmp.Or(rate, 500_000)
	segments := uint64(rtt.Microseconds()) * rate / 1e6 / uint64(tcp.SndMSS)
	return uint32(min(max(segments, 10), 48))
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
