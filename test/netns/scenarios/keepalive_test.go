package scenarios

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"mpproxy/test/netns/rig"
)

// TestKeepAlive: the kernel looks after a connection to a destination on which nothing
// moves, so that one whose other end has vanished does not stay for ever.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	r := start(t, rig.Config{})
	c, reply := ask(t, r, credentials{}, cmdConnect, r.Destination4.String(), 7)
	if reply != repSucceeded {
		t.Fatalf("reply %d", reply)
	}
	echo(t, c)
	to := r.Destination4.As4()
	remote := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(to[:]), 7)
	eventually(t, "the socket to the destination has a keep-alive timer", func() string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", r.Server.Pid()))
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
	echo(t, c)
}
