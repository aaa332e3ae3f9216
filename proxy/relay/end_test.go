package relay

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"mpproxy/mptcpsock"
)

func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		l    link
		want kind
	}{
		{linkTCP, kindTCP},
		{linkMPTCP, kindMPTCP},
		{linkTLS, kindTLS},
		{linkPlainTLS, kindOther},
		{linkOther, kindOther},
	} {
		near, _ := tt.l.dial(t)
		var e end
		e.init(near)
		if e.kind != tt.want {
			t.Errorf("%s: %v, want %v", tt.l.name, e.kind, tt.want)
		}
	}
}

// What mptcpsock hands out is pumped on its descriptor; falling back to TCP
// does not make it a TCP socket, which could be spliced from.
func TestKindOfMPTCPSock(t *testing.T) {
	needMPTCP(t)
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var d mptcpsock.Dialer
	c, err := d.Dial(context.Background(), netip.MustParseAddrPort(ln.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if ok, err := c.IsMultipath(); ok || err != nil {
		t.Fatalf("IsMultipath %v, %v: the listener speaks plain TCP", ok, err)
	}
	var e end
	e.init(c)
	if e.kind != kindMPTCP {
		t.Errorf("%v, want %v", e.kind, kindMPTCP)
	}
	if m, _ := choose(e.kind, kindTCP); m != methodCopy {
		t.Errorf("%v, want %v", m, methodCopy)
	}
}
