package leg

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/proxy"
	"mpproxy/proxy/egress"
	"mpproxy/proxy/egress/destination"
	. "mpproxy/proxy/proxytest"
	"mpproxy/proxy/relay"
)

// TestKeptLegLeadsNowhere: a request that nothing acknowledges is asked again
// elsewhere.
func TestKeptLegLeadsNowhere(t *testing.T) {
	dest := StartDestination(t, Echo)
	at := Start(t, egress.New(egress.Config{
		Listen: []netip.AddrPort{AnyPort}, Auth: Alice,
		Rules:          destination.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		MaxConnections: 4, IdleLegs: 4, HandshakeTimeout: Patience, ConnectTimeout: Patience,
	}))
	up := sessionTo(at.Addr, func(c *Config) { c.IdleLegs = 4 })
	s := &proxy.Flow{To: To(dest), How: proxy.Choice{Mode: "handover"}}
	// A peer that takes no byte more: its buffer is full, and it does not read.
	stuck := dialStuck(t)
	framed := relay.NewFramed(stuck)
	up.idle.put(&Leg{Stream: framed, below: stuck, framed: framed, Conn: stuck, key: keyOf(up.credentials(s.How.Mode), s.How)})
	leg, err := up.OpenStream(Within(t), s)
	Must(t, err)
	defer leg.Close()
	if leg.Reused {
		t.Error("the answer came on a leg that leads nowhere")
	}
	Must(t, leg.Conn.SetDeadline(time.Now().Add(Patience)))
	if got := Exchange(t, leg.Stream, "question"); got != "question" {
		t.Errorf("got %q", got)
	}
	if _, err := stuck.Write([]byte{0}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the stuck leg: %v", err)
	}
}

// dialStuck connects to a peer that never reads, and fills what lies between.
func dialStuck(t *testing.T) *mptcpsock.Conn {
	t.Helper()
	lc := mptcpsock.ListenConfig{ReceiveBuffer: 1}
	l, err := lc.Listen(t.Context(), AnyPort)
	Must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	c, err := new(mptcpsock.Dialer).Dial(Within(t), l.Addr())
	Must(t, err)
	peer, err := l.Accept()
	Must(t, err)
	t.Cleanup(func() { _ = peer.Close(); _ = c.Close() })
	Must(t, c.SetWriteDeadline(time.Now().Add(200*time.Millisecond)))
	for err = error(nil); err == nil; {
		_, err = c.Write(make([]byte, 64<<10))
	}
	return c
}

// TestIdleLegsAreBounded: the oldest one makes room, and each goes after a while.
func TestIdleLegsAreBounded(t *testing.T) {
	k := pool{most: 2}
	key := legKey{user: "alice"}
	var all []*Leg
	for range 3 {
		near, far := net.Pipe()
		t.Cleanup(func() { _ = far.Close() })
		l := &Leg{Stream: pipeStream{near}, key: key}
		all = append(all, l)
		k.put(l)
	}
	if _, err := all[0].Stream.Write([]byte{0}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the oldest is open: %v", err)
	}
	if got := k.take(key); got != all[2] {
		t.Error("not the latest one was taken")
	}
	all[1].idleSince = time.Now().Add(-keepTime)
	k.expire()
	if n := k.len(); n != 0 {
		t.Errorf("%d are kept beyond their time", n)
	}
	k.close()
	k.put(all[2])
	if n := k.len(); n != 0 {
		t.Errorf("%d are kept after close", n)
	}
}

type pipeStream struct{ net.Conn }

func (pipeStream) CloseWrite() error { return nil }

// sessionTo returns a Session to a concentrator that knows alice.
func sessionTo(addr netip.AddrPort, change func(*Config)) *Session {
	cfg := Config{
		Host: addr.Addr().String(), Port: addr.Port(),
		Credentials:    func(mode string) (string, string) { return "alice+" + mode, "token" },
		ConnectTimeout: Patience, AnswerTimeout: Patience,
	}
	if change != nil {
		change(&cfg)
	}
	return New(cfg)
}
