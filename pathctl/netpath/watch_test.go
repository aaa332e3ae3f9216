package netpath

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

// A scriptedSocket answers each Receive with the next entry.
type scriptedSocket struct {
	netlink.Socket
	script []scripted
}

type scripted struct {
	msg netlink.Message
	err error
}

func (s *scriptedSocket) ReceiveIter() iter.Seq2[netlink.Message, error] {
	return func(yield func(netlink.Message, error) bool) {
		next := s.script[0]
		s.script = s.script[1:]
		yield(next.msg, next.err)
	}
}

func (s *scriptedSocket) Close() error { return nil }

func TestReadNews(t *testing.T) {
	end := scripted{err: errors.New("end of script")}
	plain := rtnl.Route{
		Family: rtnl.IPv4, Table: unix.RT_TABLE_MAIN, Dst: rtnl.DefaultPrefix(rtnl.IPv4), OIF: 1, Kind: unix.RTN_UNICAST,
		Gateway: testDefault(1, "192.0.2.1", rtnl.IPv4, 0).Gateway,
	}
	specific, onLink, inOurs := plain, plain, plain
	specific.Dst = onLinkPrefix
	onLink.Dst, onLink.Gateway = onLinkPrefix, plain.Src
	inOurs.Dst, inOurs.Table = onLinkPrefix, rtnl.FirstNumber
	routeMessage := func(r rtnl.Route) netlink.Message {
		b, err := rtnl.EncodeRoute(r)
		if err != nil {
			t.Fatal(err)
		}
		return netlink.Message{Header: netlink.Header{Type: unix.RTM_NEWROUTE}, Data: b}
	}
	for _, tt := range []struct {
		name string
		step scripted
		hint bool
	}{
		{"link", scripted{msg: netlink.Message{Header: netlink.Header{Type: unix.RTM_NEWLINK}}}, true},
		{"undecodable route", scripted{msg: netlink.Message{Header: netlink.Header{Type: unix.RTM_DELROUTE}, Data: []byte{1}}}, true},
		{"messages were lost", scripted{err: &netlink.OpError{Op: "receive", Err: unix.ENOBUFS}}, true},
		{"default route", scripted{msg: routeMessage(plain)}, true},
		{"on-link route", scripted{msg: routeMessage(onLink)}, true},
		{"route in our table", scripted{msg: routeMessage(inOurs)}, true},
		{"somebody's route by a gateway", scripted{msg: routeMessage(specific)}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNews()
			conn := netlink.NewConn(&scriptedSocket{script: []scripted{tt.step, end}}, 1)
			if err := readNews(context.Background(), conn, n); !errors.Is(err, end.err) {
				t.Errorf("readNews returned %v: it ended early", err)
			}
			diff(t, "hint", tt.hint, len(n.hints) == 1)
		})
	}
}

var onLinkPrefix = rulesFor(uplink{addr: testAddr(1, "203.0.113.0", 0).Addr}, 0, 0)[0].Src

// TestResyncWithoutNotifications: the periodic look finds what no message told.
func TestResyncWithoutNotifications(t *testing.T) {
	l := newLab(t)
	got := make(chan []Path, 100)
	r := newRunner(New(Config{NetNS: l.host.fd, Notify: func(ps []Path) { got <- ps }}, testLog(t)))
	r.resync = 5 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	if err := r.start(ctx); err != nil {
		t.Fatal(err)
	}
	diff(t, "paths at the start", 2, len(<-got))
	_, err := r.refresh(ctx)
	l.host.must("refresh", err)
	diff(t, "snapshots of no change", 0, len(got))
	l.host.delDefault("wan1", "198.51.100.1", 200)
	l.host.delDefault("wan1", "2001:db8:2::1", 200)
	done := make(chan struct{})
	go func() { defer close(done); r.loop(ctx, news{}) }()
	for down := false; !down; {
		select {
		case ps := <-got:
			down = find(ps, "wan1").State == Down
		case <-done:
			t.Fatal("the change was never found")
		}
	}
	cancel()
	<-done
}

// TestTakesOver: source routing begins when the process that had it is gone.
func TestTakesOver(t *testing.T) {
	l := newLab(t)
	other, err := acquireLock(l.host.fd)
	if err != nil {
		t.Fatal(err)
	}
	m := New(Config{NetNS: l.host.fd, SourceRouting: true}, testLog(t))
	r := newRunner(m)
	defer r.router.unlock()
	ctx := t.Context()
	if err := r.start(ctx); err != nil {
		t.Fatal(err)
	}
	r.router.retryLock(ctx)
	if on, reason := m.SourceRouting(); on || !errors.Is(reason, ErrInUse) {
		t.Fatalf("beside a living process: %v, %v", on, reason)
	}
	other.release()
	r.router.retryLock(ctx)
	if _, err := r.refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if on, reason := m.SourceRouting(); !on || !bothUp(m.Paths()) {
		t.Errorf("after the other process went: %v, %v, %+v", on, reason, m.Paths())
	}
}

// TestRepairsAreRationed: against another program that removes our rules we do
// not fight at full speed.
func TestRepairsAreRationed(t *testing.T) {
	l := newLab(t)
	r := newRunner(New(Config{NetNS: l.host.fd, SourceRouting: true}, testLog(t)))
	defer r.router.unlock()
	ctx := t.Context()
	if err := r.start(ctx); err != nil {
		t.Fatal(err)
	}
	placed := l.host.own()
	l.host.removeOwn()
	again, err := r.refresh(ctx)
	l.host.must("first repair", err)
	diff(t, "after the first repair", changes{}, reconcile(placed, l.host.own()))
	diff(t, "time to come back", time.Duration(0), again)

	l.host.removeOwn()
	r.router.healed = time.Now().Add(time.Hour) // the first repair has only just been
	again, err = r.refresh(ctx)
	l.host.must("second repair", err)
	diff(t, "ours at once after the first repair", plan{}, l.host.own())
	if again <= 0 {
		t.Error("nothing planned for later")
	}
	r.router.healed = time.Time{}
	_, err = r.refresh(ctx)
	l.host.must("later repair", err)
	diff(t, "after a while", changes{}, reconcile(placed, l.host.own()))
}
