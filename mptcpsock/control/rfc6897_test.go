package control

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/test/linux"
)

// TestBasicAPI holds RFC 6897's values against the kernel's events, from both
// sides.
func TestBasicAPI(t *testing.T) {
	if !inside(t) {
		return
	}
	newWorld(t).both(t, func(t *testing.T, w *world, p pairOfConns, here, there []netip.Addr) {
		if on, err := p.conn.Enabled(); err != nil || !on {
			t.Errorf("TCP_MULTIPATH_ENABLE is %v, %v", on, err)
		}
		id, err := p.conn.ConnID()
		must(t, err)
		ev := w.mine.await(t, "established", func(e mptcppm.Event) bool { return e.Kind == mptcppm.EventEstablished })
		if ev.Token != id || ev.ServerSide != p.conn.Accepted() {
			t.Errorf("TCP_MULTIPATH_CONNID is %v, the kernel says %v", id, ev)
		}
		pairs, err := p.conn.Pairs()
		must(t, err)
		if diff := cmp.Diff([]Pair{pairOf(ev)}, pairs, comparePairs); diff != "" {
			t.Errorf("TCP_MULTIPATH_SUBFLOWS (-kernel +ours):\n%s", diff)
		}
	})
}

var comparePairs = cmpopts.EquateComparable(netip.AddrPort{})

// TestDisable: the value that is set before the connection decides, and none
// can be set afterwards.
func TestDisable(t *testing.T) {
	needMPTCP(t)
	for _, tt := range []struct {
		name     string
		d        Dialer
		lc       ListenConfig
		mine, of FallbackReason
	}{
		{"both", Dialer{}, ListenConfig{}, mptcpsock.FallbackNone, mptcpsock.FallbackNone},
		{"not the dialer", Dialer{Disable: true}, ListenConfig{}, mptcpsock.FallbackNotWanted, mptcpsock.FallbackPeer},
		{"service none", Dialer{Service: ServiceNone}, ListenConfig{}, mptcpsock.FallbackNotWanted, mptcpsock.FallbackPeer},
		{"not the listener", Dialer{}, ListenConfig{Disable: true}, mptcpsock.FallbackPeer, mptcpsock.FallbackNotWanted},
	} {
		for _, on := range []string{"127.0.0.1:0", "[::1]:0"} {
			t.Run(tt.name+" "+on, func(t *testing.T) {
				ln := listen(t, tt.lc, on)
				client, server := connect(t, tt.d, ln, ln.Addr())
				for _, c := range []struct {
					*Conn
					want FallbackReason
				}{{client, tt.mine}, {server, tt.of}} {
					why, err := c.Fallback()
					if err != nil || why != c.want {
						t.Errorf("fallback %v, %v, want %v", why, err, c.want)
					}
					if on, err := c.Enabled(); err != nil || on != (c.want == mptcpsock.FallbackNone) {
						t.Errorf("enabled %v, %v", on, err)
					}
					if err := c.Enable(true); !errors.Is(err, ErrConnected) {
						t.Errorf("set during the connection: %v", err)
					}
					if pairs, err := c.Pairs(); err != nil || len(pairs) != 1 || pairs[0] != (Pair{Local: c.LocalAddrPort(), Remote: c.RemoteAddrPort()}) {
						t.Errorf("pairs %v, %v", pairs, err)
					}
				}
			})
		}
	}
}

// TestLocalAddrsBefore: addresses given before the connection are used, in both
// families at once, and no other.
func TestLocalAddrsBefore(t *testing.T) {
	if !inside(t) {
		return
	}
	w := newWorld(t)
	for i, family := range families {
		other := families[1-i]
		t.Run("client "+family.name, func(t *testing.T) {
			w := w.in(t)
			var d Dialer
			must(t, d.AddAddrs(port0(family.here[0]), port0(other.here[0]), netip.AddrPortFrom(family.here[1], 4321)))
			must(t, d.RemoveAddrs(port0(other.here[0])))
			wantError(t, "removed twice", d.RemoveAddrs(port0(other.here[0])), ErrUnknownAddress)
			p := w.dial(d, family.there[0])
			if got := p.conn.LocalAddrPort().Addr(); got != family.here[0] {
				t.Errorf("the connection began on %v, want %v", got, family.here[0])
			}
			want := Pair{Local: netip.AddrPortFrom(family.here[1], 4321), Remote: p.conn.RemoteAddrPort()}
			w.his.of(t, mptcppm.EventSubflowEstablished, flip(want))
			wantPairs(t, p.conn, firstPair(p.conn), want)
		})
		t.Run("server "+family.name, func(t *testing.T) {
			w := w.in(t)
			var lc ListenConfig
			must(t, lc.AddAddrs(port0(family.here[0]), port0(family.here[1]), port0(other.here[1])))
			must(t, lc.RemoveAddrs(port0(family.here[0])))
			w.accept(lc, family.here[0])
			told := map[netip.Addr]bool{}
			for range 2 {
				ev := w.his.await(t, "announced", func(e mptcppm.Event) bool { return e.Kind == mptcppm.EventAnnounced })
				told[ev.Remote.Addr().Unmap()] = true
			}
			if !told[family.here[1]] || !told[other.here[1]] {
				t.Errorf("the peer was told of %v", told)
			}
		})
	}
}

func firstPair(c *Conn) Pair { return Pair{Local: c.LocalAddrPort(), Remote: c.RemoteAddrPort()} }

func wantPairs(t *testing.T, c *Conn, want ...Pair) {
	t.Helper()
	got, err := c.Pairs()
	must(t, err)
	byLocal := cmpopts.SortSlices(func(a, b Pair) int { return a.Local.Compare(b.Local) })
	if diff := cmp.Diff(want, got, comparePairs, byLocal); diff != "" {
		t.Errorf("established subflows (-want +got):\n%s", diff)
	}
}

// TestAddAddrs adds addresses during a connection.
func TestAddAddrs(t *testing.T) {
	if !inside(t) {
		return
	}
	newWorld(t).both(t, func(t *testing.T, w *world, p pairOfConns, here, there []netip.Addr) {
		ctx := testContext(t)
		must(t, p.conn.AddAddrs(ctx, port0(here[1])))
		if p.conn.Accepted() {
			ev := w.his.await(t, "announced", func(e mptcppm.Event) bool { return e.Kind == mptcppm.EventAnnounced })
			if ev.Remote.Addr().Unmap() != here[1] {
				t.Errorf("the peer heard %v, want %v", ev, here[1])
			}
			return
		}
		pairs, err := p.conn.Pairs()
		must(t, err)
		if len(pairs) != 2 || pairs[1].Local.Addr() != here[1] {
			t.Fatalf("subflows %v, want one from %v", pairs, here[1])
		}
		w.his.of(t, mptcppm.EventSubflowEstablished, flip(pairs[1]))
		must(t, p.conn.AddAddrs(ctx, port0(here[1]))) // it is there already
		wantPairs(t, p.conn, pairs...)
	})
}

// TestRemoveDuringTransfer takes the address away that a transfer uses: first
// the alternative, then the peer is told, then the subflow is closed, and no
// byte is lost. A client makes the alternative itself; a server has told the peer
// of an address, and waits for it to join.
func TestRemoveDuringTransfer(t *testing.T) {
	if !inside(t) {
		return
	}
	w := newWorld(t)
	for _, family := range families {
		for _, server := range []bool{false, true} {
			for _, upload := range []bool{true, false} {
				name := map[bool]string{false: "client ", true: "server "}[server] + family.name + map[bool]string{false: " receives", true: " sends"}[upload]
				t.Run(name, func(t *testing.T) { w.in(t).removeDuringTransfer(t, family, server, upload) })
			}
		}
	}
}

func (w *world) removeDuringTransfer(t *testing.T, f family, server, sends bool) {
	ctx := testContext(t)
	var p pairOfConns
	if server {
		p = w.accept(ListenConfig{Strict: true}, f.here[0])
		must(t, p.conn.AddAddrs(ctx, port0(f.here[1]))) // the peer joins there in its own time
	} else {
		p = w.dial(Dialer{LocalAddrs: []netip.AddrPort{port0(f.here[0]), port0(f.here[1])}}, f.there[0])
		w.closeSecond(t, p) // an alternative that may be used, and is not
	}
	from, to := p.conn, p.far
	if !sends {
		from, to = p.far, p.conn
	}
	counted := linux.Since(6, 2) // RmAddrTx
	told := 0
	if counted {
		told = counter(t, w.self, "RmAddrTx")
	}
	silence := transferMeanwhile(t, from, to, func() error { return p.conn.RemoveAddrs(ctx, port0(f.here[0])) })
	t.Logf("longest silence %v", silence)
	w.alternativeFirst(t, p, f.here)
	if ev := w.his.kind(t, mptcppm.EventRemoved, w.hisToken(t)); ev.RemoteID != 0 {
		t.Errorf("the peer heard %v, want id 0", ev)
	}
	if counted {
		n := counter(t, w.self, "RmAddrTx") - told
		if n != 1 && (sends || n != 2) { // again, when nothing shows that it arrived
			t.Errorf("the kernel has counted %d RM_ADDR sent, want 1", n)
		}
	}
	pairs, err := p.conn.Pairs()
	must(t, err)
	if len(pairs) != 1 || pairs[0].Local.Addr() != f.here[1] {
		t.Errorf("subflows %v, want one from %v; events %v", pairs, f.here[1], w.mine.seen)
	}
	wantError(t, "removing the last address", p.conn.RemoveAddrs(ctx, port0(f.here[1])), ErrLastSubflow)
	wantError(t, "removing an address twice", p.conn.RemoveAddrs(ctx, port0(f.here[0])), ErrUnknownAddress)
}

// closeSecond closes the subflow that joined by itself.
func (w *world) closeSecond(t *testing.T, p pairOfConns) {
	t.Helper()
	first := firstPair(p.conn)
	up := w.mine.await(t, "second subflow", func(e mptcppm.Event) bool { return e.Kind == mptcppm.EventSubflowEstablished })
	for _, s := range must1(p.conn.Subflows())(t) {
		if s.Pair() != first {
			must(t, p.conn.CloseSub(testContext(t), s.ID))
		}
	}
	w.mine.of(t, mptcppm.EventSubflowClosed, pairOf(up))
	w.mine.seen, w.mine.used = nil, make(map[int]bool)
}

// alternativeFirst checks the order of the kernel's events.
func (w *world) alternativeFirst(t *testing.T, p pairOfConns, here []netip.Addr) {
	t.Helper()
	w.mine.await(t, "closed", func(e mptcppm.Event) bool {
		return e.Kind == mptcppm.EventSubflowClosed && e.Local.Addr().Unmap() == here[0]
	})
	up := -1
	for i, e := range w.mine.seen {
		switch {
		case e.Kind == mptcppm.EventSubflowEstablished && e.Local.Addr().Unmap() == here[1]:
			up = i
		case e.Kind == mptcppm.EventSubflowClosed && up < 0:
			t.Errorf("closed before the alternative was there: %v", w.mine.seen)
		}
	}
}

// hisToken is the token that the peer's kernel has for the connection.
func (w *world) hisToken(t *testing.T) (token uapi.Token) {
	t.Helper()
	return w.his.await(t, "established", func(e mptcppm.Event) bool { return e.Kind == mptcppm.EventEstablished }).Token
}

// transferMeanwhile sends a stream, calls f after a quarter of it while the rest
// goes on, and checks every byte. It returns the longest silence after the call.
func transferMeanwhile(t *testing.T, from, to *Conn, f func() error) (silence time.Duration) {
	t.Helper()
	const size = 32 << 20
	sent, done := make(chan error, 1), make(chan error, 1)
	go send(from, size, sent)
	want, got := pattern(1<<20), make([]byte, 1<<20)
	last := time.Now()
	for n := 0; n < size; n += len(got) {
		if n == size/4 {
			go func() { done <- f() }()
		}
		for at := 0; at < len(got); {
			k, err := to.Read(got[at:])
			must(t, err)
			at += k
			now := time.Now()
			if n >= size/4 {
				silence = max(silence, now.Sub(last))
			}
			last = now
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("other bytes than those sent, in the MiB from %d on", n)
		}
	}
	must(t, <-sent)
	must(t, <-done)
	return silence
}

func send(c *Conn, size int, sent chan<- error) { sent <- writePattern(c, size) }

func writePattern(w io.Writer, size int) error {
	block := pattern(1 << 20)
	for range size / len(block) {
		if _, err := w.Write(block); err != nil {
			return err
		}
	}
	return nil
}

// pattern never repeats within a block at a distance of a segment.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}
