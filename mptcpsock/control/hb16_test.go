package control

import (
	"errors"
	"net/netip"
	"testing"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
)

// TestOpenAndCloseSub holds the six operations' listing, opening, priority and
// closing against the kernel's events at both ends, from both sides.
func TestOpenAndCloseSub(t *testing.T) {
	if !inside(t) {
		return
	}
	newWorld(t).both(t, func(t *testing.T, w *world, p pairOfConns, here, there []netip.Addr) {
		ctx := testContext(t)
		token, err := p.conn.ConnID()
		must(t, err)
		first := onlySub(t, p.conn)
		remote := w.joinTarget(p, there[1])
		id, err := p.conn.OpenSub(ctx, port0(here[1]), remote, Backup)
		must(t, err)
		if id == first.ID {
			t.Errorf("the new subflow has the first one's id %d", id)
		}
		pair, err := p.conn.SubTuple(id)
		must(t, err)
		if pair.Local.Addr() != here[1] || pair.Remote != remote || pair.Local.Port() == 0 {
			t.Errorf("the subflow is %v, want %v to %v", pair, here[1], remote)
		}
		if ev := w.mine.of(t, mptcppm.EventSubflowEstablished, pair); ev.Token != token {
			t.Errorf("the kernel says %v, want token %v", ev, token)
		}
		if ev := w.his.of(t, mptcppm.EventSubflowEstablished, flip(pair)); !ev.Backup {
			t.Errorf("the peer was not told of the backup flag: %v", ev)
		}
		st := statusOf(t, p.conn, id)
		if st.Initial || st.State != uapi.TCPEstablished || !st.Backup || !st.PriorityKnown {
			t.Errorf("status %+v", st)
		}
		must(t, p.conn.SetPriority(ctx, id, Normal))
		if ev := w.his.of(t, mptcppm.EventSubflowPriority, flip(pair)); ev.Backup {
			t.Errorf("the peer heard %v", ev)
		}
		must(t, p.conn.Prefer(ctx, id))
		firstPair, err := p.conn.SubTuple(first.ID)
		must(t, err)
		if ev := w.his.of(t, mptcppm.EventSubflowPriority, flip(firstPair)); !ev.Backup {
			t.Errorf("the peer heard %v", ev)
		}
		must(t, p.conn.CloseSub(ctx, first.ID))
		w.mine.of(t, mptcppm.EventSubflowClosed, firstPair)
		w.his.of(t, mptcppm.EventSubflowClosed, flip(firstPair))
		if now := onlySub(t, p.conn); now.ID != id {
			t.Errorf("the subflow has id %d now, was %d", now.ID, id)
		}
		if err := p.conn.CloseSub(ctx, id); !errors.Is(err, ErrLastSubflow) {
			t.Errorf("closing the last subflow: %v", err)
		}
		if err := p.conn.CloseSub(ctx, first.ID); !errors.Is(err, ErrUnknownSubflow) {
			t.Errorf("closing a subflow twice: %v", err)
		}
		p.pingPong(t)
	})
}

// joinTarget is where a subflow can join at the other end: the port of its
// listener, or, where it is the client, a listener made for it, on the
// connection's own port (subflow_use_different_sport, net/mptcp/subflow.c).
func (w *world) joinTarget(p pairOfConns, there netip.Addr) netip.AddrPort {
	w.t.Helper()
	if !p.conn.Accepted() {
		return netip.AddrPortFrom(there, p.conn.RemoteAddrPort().Port())
	}
	return w.listenThere(netip.AddrPortFrom(there, p.far.LocalAddrPort().Port())).Addr()
}

// onlySub returns the one established subflow.
func onlySub(t *testing.T, c *Conn) SubStatus {
	t.Helper()
	var found []SubStatus
	ids, err := c.SubIDs()
	must(t, err)
	for _, s := range ids {
		if s.State == uapi.TCPEstablished {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("subflows %+v, want one established", ids)
	}
	return found[0]
}

func statusOf(t *testing.T, c *Conn, id uapi.SubflowID) SubStatus {
	t.Helper()
	ids, err := c.SubIDs()
	must(t, err)
	for _, s := range ids {
		if s.ID == id {
			return s
		}
	}
	t.Fatalf("no subflow %d in %+v", id, ids)
	return SubStatus{}
}
