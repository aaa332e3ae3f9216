package clients

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestKeepAlive: the kernel looks after a connection to a destination on which nothing
// moves, so that one whose other end has vanished does not stay for ever.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, rig.Config{})
	t.Run("quiet", func(t *testing.T) {
		c, reply := scene.Ask(t, r, scene.Credentials{}, scene.CmdConnect, r.Destination4.String(), 7)
		if reply != scene.RepSucceeded {
			t.Fatalf("reply %d", reply)
		}
		scene.Echo(t, c)
		awaitKeepAlive(t, r.Server, netip.AddrPortFrom(r.Destination4, 7))
		scene.Echo(t, c)
	})
	t.Run("half-closed", func(t *testing.T) {
		const port = 9
		l, err := apps.Listen(t.Context(), r.Destination, port) // nobody accepts, let alone answers
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, reply := scene.Ask(t, r, scene.Credentials{}, scene.CmdConnect, r.Destination4.String(), port)
		if reply != scene.RepSucceeded {
			t.Fatalf("reply %d", reply)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		awaitKeepAlive(t, r.Server, netip.AddrPortFrom(r.Destination4, port))
	})
}

// awaitKeepAlive waits until a program's socket to an IPv4 destination has a keep-alive
// timer.
func awaitKeepAlive(t *testing.T, p *netns.Process, to netip.AddrPort) {
	t.Helper()
	addr := to.Addr().As4()
	remote := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(addr[:]), to.Port())
	scene.Eventually(t, "the socket to the destination has a keep-alive timer", func() string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", p.Pid()))
		if err != nil {
			return err.Error()
		}
		// proc(5): the addresses are the second and third field, the kind of the timer
		// leads the sixth, and 02 is keep-alive's.
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 5 && f[2] == remote && strings.HasPrefix(f[5], "02:") {
				return ""
			}
		}
		return "none in\n" + string(b)
	})
}
