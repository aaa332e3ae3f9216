package mptcpsock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"mpproxy/test/veth"

	"golang.org/x/sys/unix"
)

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }

func TestDial(t *testing.T) {
	needMPTCP(t)
	for _, tt := range []struct{ on, to, source string }{
		{"[::]:0", "127.0.0.1", ""},
		{"[::]:0", "::ffff:127.0.0.1", ""},
		{"[::]:0", "::1", ""},
		{"127.0.0.1:0", "127.0.0.1", "127.0.0.2"},
		{"0.0.0.0:0", "127.0.0.1", "::ffff:127.0.0.2"},
		{"[::1]:0", "::1", "::1"},
	} {
		for _, strict := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s to %s from %s strict %v", tt.on, tt.to, tt.source, strict), func(t *testing.T) {
				ln := listen(t, ListenConfig{Strict: strict}, tt.on)
				if got, want := ln.Addr().Addr(), netip.MustParseAddrPort(tt.on).Addr(); got != want {
					t.Errorf("listens on %v, want %v", got, want)
				}
				d := Dialer{Strict: strict, Interface: "lo"}
				if tt.source != "" {
					d.LocalAddr = netip.MustParseAddr(tt.source)
				}
				c, s := connect(t, d, ln, netip.AddrPortFrom(netip.MustParseAddr(tt.to), ln.Addr().Port()))
				if want := d.LocalAddr.Unmap(); want.IsValid() && s.RemoteAddrPort().Addr() != want {
					t.Errorf("comes from %v, want %v", s.RemoteAddrPort(), want)
				}
				if got := boundDevice(t, c); got != "lo" {
					t.Errorf("bound to %q, want lo", got)
				}
				for _, c := range []*Conn{c, s} {
					checkMultipath(t, c)
					checkDefaults(t, c)
				}
				checkBytes(t, c, s)
			})
		}
	}
}

func checkMultipath(t *testing.T, c *Conn) {
	t.Helper()
	multipath, err := c.IsMultipath()
	must(t, err)
	reason, err := c.Fallback()
	must(t, err)
	token, err := c.Token()
	must(t, err)
	if !multipath || reason != FallbackNone || token == 0 {
		t.Errorf("multipath %v, reason %v, token %v", multipath, reason, token)
	}
}

// checkDefaults checks the options of both dialled and accepted connections.
func checkDefaults(t *testing.T, c *Conn) {
	t.Helper()
	for _, o := range []struct {
		name              string
		level, opt, value int
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 120},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9},
	} {
		if got := sockoptInt(t, c, o.level, o.opt); got != o.value {
			t.Errorf("%s is %d, want %d", o.name, got, o.value)
		}
	}
}

// boundDevice returns the interface that a connection is bound to.
func boundDevice(t *testing.T, c *Conn) string {
	t.Helper()
	var name string
	var err error
	must(t, c.control(func(fd int) { name, err = unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE) }))
	must(t, err)
	return name
}

// checkBytes sends both ways, with half-close, by way of splice.
func checkBytes(t *testing.T, c, s *Conn) {
	t.Helper()
	sent := bytes.Repeat([]byte("mptcp"), 100_000)
	echoed := make(chan error, 1)
	go echo(s, echoed)
	written := make(chan error, 1)
	go writeAndClose(c, sent, written)
	got, err := io.ReadAll(c)
	must(t, err)
	must(t, <-written)
	must(t, <-echoed)
	if !bytes.Equal(got, sent) {
		t.Errorf("got %d bytes back of %d", len(got), len(sent))
	}
}

func echo(c *Conn, done chan<- error) {
	_, err := io.Copy(c.TCPConn, c.TCPConn)
	done <- errors.Join(err, c.CloseWrite())
}

func writeAndClose(c *Conn, b []byte, done chan<- error) {
	_, err := c.Write(b)
	done <- errors.Join(err, c.CloseWrite())
}

// TestPlainPeers checks what is said about connections with plain TCP peers.
func TestPlainPeers(t *testing.T) {
	needMPTCP(t)
	t.Run("server", func(t *testing.T) {
		var lc net.ListenConfig
		lc.SetMultipathTCP(false)
		ln, err := lc.Listen(testContext(t), "tcp", "127.0.0.1:0")
		must(t, err)
		defer ln.Close()
		to := ln.Addr().(*net.TCPAddr).AddrPort()
		before := openDescriptors(t)
		_, err = (&Dialer{Strict: true}).Dial(testContext(t), to)
		if !errors.Is(err, ErrNotMultipath) {
			t.Errorf("strict: %v", err)
		}
		if after := openDescriptors(t); after > before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
		c, err := (&Dialer{}).Dial(testContext(t), to)
		must(t, err)
		bound(t, c)
		checkPlain(t, c, FallbackPeer)
	})
	t.Run("client", func(t *testing.T) {
		ln := listen(t, ListenConfig{Strict: true}, "[::]:0")
		var d net.Dialer
		d.SetMultipathTCP(false)
		c, err := d.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ln.Addr().Port()))
		must(t, err)
		defer c.Close()
		checkPlain(t, accept(t, ln), FallbackPeer)
	})
}

func checkPlain(t *testing.T, c *Conn, want FallbackReason) {
	t.Helper()
	multipath, err := c.IsMultipath()
	must(t, err)
	reason, err := c.Fallback()
	must(t, err)
	if multipath || reason != want {
		t.Errorf("multipath %v, reason %v", multipath, reason)
	}
	if _, err := c.Info(); !errors.Is(err, ErrNotMultipath) {
		t.Errorf("Info: %v", err)
	}
	if _, err := c.Token(); !errors.Is(err, ErrNotMultipath) {
		t.Errorf("Token: %v", err)
	}
	subflows, err := c.Subflows()
	must(t, err)
	if len(subflows) != 1 || subflows[0].IDKnown || subflows[0].Remote != c.RemoteAddrPort() || subflows[0].TCP.RTT <= 0 {
		t.Errorf("subflows %+v", subflows)
	}
}

// TestSwitchedOff checks a host with net.mptcp.enabled=0, which also shows that
// the probe does not remember.
func TestSwitchedOff(t *testing.T) {
	needMPTCP(t)
	ns := veth.New(t)
	ns.Do(t, func() {
		veth.Sysctl(t, "net/mptcp/enabled", "0")
		if err := ProbeMPTCP(); !errors.Is(err, ErrDisabled) || errors.Is(err, ErrNotSupported) {
			t.Errorf("probe: %v", err)
		}
		for _, on := range []string{"[::]:0", "127.0.0.1:0"} {
			_, err := (&ListenConfig{Strict: true}).Listen(testContext(t), netip.MustParseAddrPort(on))
			if !errors.Is(err, ErrDisabled) {
				t.Errorf("strict listen: %v", err)
			}
			ln := listen(t, ListenConfig{}, on)
			if ln.Fallback() != FallbackDisabled {
				t.Errorf("listener: %v", ln.Fallback())
			}
			to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), ln.Addr().Port())
			if _, err := (&Dialer{Strict: true}).Dial(testContext(t), to); !errors.Is(err, ErrDisabled) {
				t.Errorf("strict dial: %v", err)
			}
			c, s := connect(t, Dialer{LocalAddr: netip.MustParseAddr("127.0.0.3")}, ln, to)
			for _, c := range []*Conn{c, s} {
				checkPlain(t, c, FallbackDisabled)
				checkDefaults(t, c)
			}
			checkBytes(t, c, s)
		}
		veth.Sysctl(t, "net/mptcp/enabled", "1")
		if err := ProbeMPTCP(); err != nil {
			t.Errorf("probe after it was switched on: %v", err)
		}
		ln := listen(t, ListenConfig{Strict: true}, "[::]:0")
		c, _ := connect(t, Dialer{Strict: true}, ln, netip.AddrPortFrom(netip.IPv6Loopback(), ln.Addr().Port()))
		checkMultipath(t, c)
	})
}

// TestWithoutIPv6 checks a host that has IPv6 in the kernel only.
func TestWithoutIPv6(t *testing.T) {
	needMPTCP(t)
	ns := veth.New(t)
	ns.Do(t, func() {
		veth.Sysctl(t, "net/ipv6/conf/all/disable_ipv6", "1")
		ln := listen(t, ListenConfig{Strict: true}, "[::]:0")
		c, s := connect(t, Dialer{Strict: true}, ln, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), ln.Addr().Port()))
		checkMultipath(t, c)
		checkBytes(t, c, s)
	})
}

// TestDialErrors checks that errors are the kernel's, that they come after one
// try, and that no descriptor stays.
func TestDialErrors(t *testing.T) {
	needMPTCP(t)
	client, server := veth.New(t), veth.New(t)
	veth.Connect(t, client, server, "link1")
	client.AddAddr(t, "link1", client4+"/24")
	client.AddAddr(t, "link1", client6+"/64")
	silent := server4 + ":443" // nobody answers, not even ARP
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, tt := range []struct {
		name string
		ctx  func(t *testing.T) context.Context
		d    Dialer
		to   string
		want error
		says string
		syns int
	}{
		{name: "refused", to: "127.0.0.1:1", want: unix.ECONNREFUSED, says: "127.0.0.1:1", syns: 1},
		{name: "refused IPv6", to: "[::1]:1", want: unix.ECONNREFUSED, says: "[::1]:1", syns: 1},
		{name: "no route", to: "203.0.113.1:443", want: unix.ENETUNREACH},
		{name: "deadline", to: silent, ctx: soon, want: context.DeadlineExceeded, syns: 1},
		{name: "cancelled", to: silent, ctx: cancelSoon, want: context.Canceled, syns: 1},
		{name: "cancelled before", to: silent, ctx: func(*testing.T) context.Context { return canceled }, want: context.Canceled, syns: 1},
		{name: "no such source", to: silent, d: Dialer{LocalAddr: netip.MustParseAddr("203.0.113.7")}, want: unix.EADDRNOTAVAIL, says: "203.0.113.7"},
		{name: "no such interface", to: silent, d: Dialer{Interface: "nosuch0"}, want: unix.ENODEV, says: "nosuch0"},
		{name: "families", to: silent, d: Dialer{LocalAddr: netip.MustParseAddr(client6)}, says: "family"},
	} {
		for _, strict := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s strict %v", tt.name, strict), func(t *testing.T) {
				ctx := testContext(t)
				if tt.ctx != nil {
					ctx = tt.ctx(t)
				}
				client.Do(t, func() {
					descriptors, syns := openDescriptors(t), activeOpens(t)
					d := tt.d
					d.Strict = strict
					c, err := d.Dial(ctx, netip.MustParseAddrPort(tt.to))
					if err == nil {
						_ = c.Close()
						t.Fatal("no error")
					}
					var op *net.OpError
					if !errors.As(err, &op) || op.Net != "mptcp" || op.Op != "dial" {
						t.Errorf("not an OpError of mptcp: %v", err)
					}
					if tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
						t.Errorf("got %v, want %v, saying %q", err, tt.want, tt.says)
					}
					if got := activeOpens(t) - syns; got != tt.syns {
						t.Errorf("%d connections were tried, want %d", got, tt.syns)
					}
					if got := openDescriptors(t); got > descriptors {
						t.Errorf("%d descriptors before, %d after", descriptors, got)
					}
				})
			})
		}
	}
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func cancelSoon(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(20*time.Millisecond, cancel)
	t.Cleanup(func() { timer.Stop(); cancel() })
	return ctx
}

func TestDialNoAddress(t *testing.T) {
	var addr *net.AddrError
	if _, err := (&Dialer{}).Dial(testContext(t), netip.AddrPort{}); !errors.As(err, &addr) {
		t.Errorf("got %v, want an AddrError", err)
	}
}

// openDescriptors counts the descriptors of this process.
func openDescriptors(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(names)
}

// activeOpens counts the connections that were tried in the namespace of the
// calling thread (TCP-MIB, RFC 4022).
func activeOpens(t testing.TB) int {
	t.Helper()
	b, err := os.ReadFile("/proc/thread-self/net/snmp")
	must(t, err)
	var names, values []string
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "Tcp:") {
			continue
		}
		names, values = values, strings.Fields(line)
	}
	for i, name := range names {
		if name == "ActiveOpens" {
			var n int
			_, err := fmt.Sscan(values[i], &n)
			must(t, err)
			return n
		}
	}
	t.Fatal("no ActiveOpens")
	return 0
}
