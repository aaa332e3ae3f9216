package mptcpsock

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestInterleave(t *testing.T) {
	got := interleave([]netip.Addr{
		netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"),
		netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.3"),
	}, 443)
	want := []netip.AddrPort{
		netip.MustParseAddrPort("[2001:db8::1]:443"), netip.MustParseAddrPort("192.0.2.1:443"),
		netip.MustParseAddrPort("192.0.2.2:443"), netip.MustParseAddrPort("192.0.2.3:443"),
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
}

// TestDialHost: a name with addresses of both families, of which one does not
// answer.
func TestDialHost(t *testing.T) {
	needMPTCP(t)
	ln := listen(t, ListenConfig{}, "127.0.0.1:0")
	d := Dialer{Resolver: &net.Resolver{PreferGo: true}}
	c, err := d.DialHost(testContext(t), net.JoinHostPort("localhost", strconv.Itoa(int(ln.Addr().Port()))))
	must(t, err)
	bound(t, c)
	if got := c.RemoteAddrPort(); got != ln.Addr() {
		t.Errorf("connected to %v, want %v", got, ln.Addr())
	}
	bound(t, accept(t, ln))
	_, err = d.DialHost(testContext(t), "127.0.0.1")
	var oe *net.OpError
	if !errors.As(err, &oe) || oe.Net != "mptcp" {
		t.Errorf("no port: %v", err)
	}
	_, err = d.DialHost(testContext(t), "name.invalid:80")
	if _, ok := errors.AsType[*net.DNSError](err); !ok {
		t.Errorf("no such name: %v", err)
	}
}
