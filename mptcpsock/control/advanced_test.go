package control

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"mpproxy/mptcpsock/uapi"
)

// TestFateSharing: the connection ends with its initial subflow when asked to,
// and not otherwise.
func TestFateSharing(t *testing.T) {
	if !inside(t) {
		return
	}
	w := newWorld(t)
	for _, share := range []bool{true, false} {
		t.Run(fmt.Sprint(share), func(t *testing.T) {
			w.both(t, func(t *testing.T, w *world, p pairOfConns, here, there []netip.Addr) {
				ctx := testContext(t)
				_, err := p.conn.OpenSub(ctx, port0(here[1]), w.joinTarget(p, there[1]), Normal)
				must(t, err)
				must(t, p.conn.SetFateSharing(share))
				must(t, p.conn.CloseSub(ctx, onlyInitial(t, p.conn)))
				if share {
					_, err = p.conn.Read(make([]byte, 1))
					wantError(t, "read", err, net.ErrClosed)
					return
				}
				p.pingPong(t)
				wantError(t, "too late", p.conn.SetFateSharing(true), ErrUnknownSubflow)
			})
		})
	}
}

// TestFateSharingBefore: it can be asked for before the connection.
func TestFateSharingBefore(t *testing.T) {
	if !inside(t) {
		return
	}
	w := newWorld(t)
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			p := w.in(t).dial(Dialer{Strict: true, FateSharing: true}, f.there[0])
			ctx := testContext(t)
			_, err := p.conn.OpenSub(ctx, port0(f.here[1]), netip.AddrPort{}, Normal)
			must(t, err)
			must(t, p.conn.CloseSub(ctx, onlyInitial(t, p.conn)))
			_, err = p.conn.Read(make([]byte, 1))
			wantError(t, "read", err, net.ErrClosed)
		})
	}
}

func onlyInitial(t *testing.T, c *Conn) uapi.SubflowID {
	t.Helper()
	for _, s := range must1(c.SubIDs())(t) {
		if s.Initial {
			return s.ID
		}
	}
	t.Fatal("no initial subflow")
	return 0
}

// TestSetSubflows opens and closes as many as it takes.
func TestSetSubflows(t *testing.T) {
	if !inside(t) {
		return
	}
	newWorld(t).both(t, func(t *testing.T, w *world, p pairOfConns, here, there []netip.Addr) {
		if p.conn.Accepted() {
			err := p.conn.SetSubflows(testContext(t), 2) // a mere client takes none
			wantError(t, "SetSubflows", err, ErrSubflowFailed, syscall.ECONNREFUSED)
			return
		}
		ctx := testContext(t)
		for _, n := range []int{3, 5, 1, 2} {
			must(t, p.conn.SetSubflows(ctx, n))
			pairs, err := p.conn.Pairs()
			must(t, err)
			if len(pairs) != n {
				t.Errorf("%d subflows, want %d", len(pairs), n)
			}
			p.pingPong(t)
		}
	})
}
