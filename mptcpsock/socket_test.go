package mptcpsock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"mpproxy/test/veth"

	"golang.org/x/sys/unix"
)

// TestReceiveBuffer checks both ends of a connection with and without the
// capability to exceed net.core.rmem_max.
func TestReceiveBuffer(t *testing.T) {
	needMPTCP(t)
	s, err := probeSocket()
	must(t, err)
	untouched, err := unix.GetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUF)
	must(t, err)
	mayForce := unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, untouched) == nil
	must(t, unix.Close(s))
	granted := func(want int, privileged bool) int {
		if !privileged {
			want = min(want, rmemMax(t))
		}
		return 2 * want
	}
	for _, tt := range []struct {
		configured int
		want       int // bytes asked of the kernel, 0 for none
	}{
		{0, DefaultReceiveBuffer},
		{2 << 20, 2 << 20},
		{100_000, 100_000},
		{-1, 0},
	} {
		for _, privileged := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d privileged %v", tt.configured, privileged), func(t *testing.T) {
				if !mayForce && privileged {
					t.Skip("needs CAP_NET_ADMIN in the initial user namespace")
				}
				veth.OnThread(t, func() {
					if !privileged {
						defer dropNetAdmin(t)()
					}
					ln := listen(t, ListenConfig{ReceiveBuffer: tt.configured}, "127.0.0.1:0")
					c, s := connect(t, Dialer{ReceiveBuffer: tt.configured}, ln, ln.Addr())
					want := granted(tt.want, privileged)
					if tt.want == 0 || !worthSetting(tt.want, want/2) {
						want = untouched
					}
					for end, c := range map[string]*Conn{"dialled": c, "accepted": s} {
						if got := sockoptInt(t, c, unix.SOL_SOCKET, unix.SO_RCVBUF); got != want {
							t.Errorf("%s: SO_RCVBUF is %d, want %d", end, got, want)
						}
					}
				})
			})
		}
	}
}

// TestSendBuffer: it is set on the connection and each of its subflows, or nothing is.
func TestSendBuffer(t *testing.T) {
	needMPTCP(t)
	const most = 1 << 30 // more than any net.core.wmem_max
	for _, tt := range []struct {
		name       string
		privileged bool
		bytes      int
		granted    bool
	}{
		{"privileged", true, most, true},
		{"modest", false, 64 << 10, true},
		{"too much", false, most, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			veth.OnThread(t, func() {
				ln := listen(t, ListenConfig{}, "127.0.0.1:0")
				c, _ := connect(t, Dialer{}, ln, ln.Addr())
				before := sockoptInt(t, c, unix.SOL_SOCKET, unix.SO_SNDBUF)
				if err := c.SetSendBuffer(before); tt.privileged && errors.Is(err, fs.ErrPermission) {
					t.Skip("needs CAP_NET_ADMIN in the initial user namespace")
				}
				before = sockoptInt(t, c, unix.SOL_SOCKET, unix.SO_SNDBUF)
				if !tt.privileged {
					defer dropNetAdmin(t)()
				}
				err := c.SetSendBuffer(tt.bytes)
				want := before
				if tt.granted {
					want = tt.bytes
				}
				if errors.Is(err, fs.ErrPermission) == tt.granted || (err == nil) != tt.granted {
					t.Errorf("SetSendBuffer = %v, want it granted: %v", err, tt.granted)
				}
				if got := sockoptInt(t, c, unix.SOL_SOCKET, unix.SO_SNDBUF); got != want {
					t.Errorf("SO_SNDBUF is %d, want %d", got, want)
				}
			})
		})
	}
}

func TestWorthSetting(t *testing.T) {
	for _, tt := range []struct {
		want, granted int
		set           bool
	}{
		{8 << 20, 8 << 20, true},
		{8 << 20, 1 << 20, true},
		{8 << 20, 212_992, false}, // the usual net.core.rmem_max
		{100_000, 100_000, true},  // asked for less: that is the user's choice
		{100_000, 99_999, false},
	} {
		if got := worthSetting(tt.want, tt.granted); got != tt.set {
			t.Errorf("%d bytes wanted, %d granted: set %v, want %v", tt.want, tt.granted, got, tt.set)
		}
	}
}

// rmemMax returns net.core.rmem_max in bytes.
func rmemMax(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/net/core/rmem_max")
	must(t, err)
	var n int
	_, err = fmt.Sscan(string(b), &n)
	must(t, err)
	return n
}

// dropNetAdmin takes CAP_NET_ADMIN from the calling, locked thread until the
// returned function is called.
func dropNetAdmin(t *testing.T) (restore func()) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var before [2]unix.CapUserData
	must(t, unix.Capget(&header, &before[0]))
	without := before
	without[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	must(t, unix.Capset(&header, &without[0]))
	return func() { must(t, unix.Capset(&header, &before[0])) }
}

// TestKeepAlive checks that keep-alive can be left off, and set.
func TestKeepAlive(t *testing.T) {
	needMPTCP(t)
	ln := listen(t, ListenConfig{KeepAlive: -1}, "127.0.0.1:0")
	c, s := connect(t, Dialer{KeepAlive: 1500 * time.Millisecond}, ln, ln.Addr())
	if got := sockoptInt(t, s, unix.SOL_SOCKET, unix.SO_KEEPALIVE); got != 0 {
		t.Errorf("accepted: SO_KEEPALIVE is %d, want 0", got)
	}
	if got := sockoptInt(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); got != 2 {
		t.Errorf("dialled: TCP_KEEPIDLE is %d, want 2: 1.5 s rounded up", got)
	}
}
