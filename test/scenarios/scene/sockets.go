package scene

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"mpproxy/test/netns"
)

// socket is one TCP socket of a host.
type socket struct {
	Local, Remote netip.AddrPort
	state         uint64
}

func (s socket) String() string { return fmt.Sprintf("%s to %s", s.Local, s.Remote) }

// States of a TCP socket, as in the kernel's net/tcp_states.h.
const (
	stateEstablished = 1
	StateSynSent     = 2
	stateCloseWait   = 8
	StateListen      = 10
)

// sockets returns the TCP sockets of the host in which a process runs.
func sockets(t *testing.T, p *netns.Process) []socket {
	t.Helper()
	var all []socket
	for _, file := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", p.Pid(), file))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		for _, line := range lines[1:] {
			f := strings.Fields(line)
			state, err := strconv.ParseUint(f[3], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, socket{procAddr(t, f[1]), procAddr(t, f[2]), state})
		}
	}
	return all
}

// procAddr reads an address of /proc/net/tcp: words in the machine's order.
func procAddr(t *testing.T, s string) netip.AddrPort {
	t.Helper()
	words, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(words)
	n, perr := strconv.ParseUint(port, 16, 16)
	if err != nil || perr != nil {
		t.Fatalf("address %q: %v", s, errors.Join(err, perr))
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(n))
}

// InState lists the sockets of a process's host that are in a state.
func InState(t *testing.T, p *netns.Process, state uint64) (list []socket) {
	t.Helper()
	for _, s := range sockets(t, p) {
		if s.state == state {
			list = append(list, s)
		}
	}
	return list
}

// NothingLingers waits until a process has no connection left but those of its
// listeners' own, and none in CLOSE-WAIT.
func NothingLingers(t *testing.T, processes ...*netns.Process) {
	t.Helper()
	for _, p := range processes {
		Eventually(t, "sockets of "+p.Name(), func() string {
			for _, state := range []uint64{stateEstablished, StateSynSent, stateCloseWait} {
				if left := InState(t, p, state); len(left) > 0 {
					return fmt.Sprintf("in state %d: %v", state, left)
				}
			}
			return ""
		})
	}
}

// DescriptorsReturn waits until a process has no more descriptors than before.
func DescriptorsReturn(t *testing.T, p *netns.Process, before int) {
	t.Helper()
	Eventually(t, "descriptors of "+p.Name(), func() string {
		if now := Descriptors(t, p); now > before {
			return fmt.Sprintf("%d, before there were %d", now, before)
		}
		return ""
	})
}

func Descriptors(t *testing.T, p *netns.Process) int {
	t.Helper()
	u, err := p.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return u.Descriptors
}
