package engine

import (
	"errors"
	"io/fs"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

var byValue = cmpopts.EquateComparable(netip.AddrPort{})

// heard registers a connection whose owner steers it, and returns what the owner
// is told.
func (b *bench) heard(t *testing.T) (*fakeReader, *[]Notice) {
	t.Helper()
	b.begun(t)
	r := &fakeReader{reading: onFirst()}
	reg := registration(r, mode.Aggregate)
	reg.Manual = true
	var told []Notice
	reg.Notify = func(n Notice) { told = append(told, n) }
	b.register(reg)(b.now)
	return r, &told
}

// TestNotices: the owner of a connection is told of each event with the table that
// it has led to, of other changes of the table, of gaps, and of the end.
func TestNotices(t *testing.T) {
	b := newBench(t, policy.Client)
	r, told := b.heard(t)
	initial := KnownSubflow{Local: first10, Remote: server, Established: true}
	joined := KnownSubflow{Local: second, Remote: server, AddrID: 7, Established: true, PeerBackup: true}
	up := mptcppm.Event{Token: testToken, Kind: mptcppm.EventSubflowEstablished, Local: second, Remote: server, LocalID: 7, Backup: true}
	more := mptcppm.Event{Token: testToken, Kind: mptcppm.EventAnnounced, RemoteID: 3, Remote: ap("[2001:db8::2]:0")}
	announced := []AnnouncedAddr{{3, ap("[2001:db8::2]:0")}}
	b.event(t, up)
	b.event(t, more)
	b.missed()
	b.lookAtAll(b.now)
	b.pass(t, 0)
	b.pass(t, time.Minute) // nothing changes, so nothing is told
	r.reading.Subflows = nil
	b.lookAtAll(b.now)
	b.pass(t, 0)
	b.event(t, mptcppm.Event{Kind: mptcppm.EventClosed})
	want := []Notice{
		{Table: &Table{Established: true, Subflows: []KnownSubflow{initial}}},
		{Event: up, Table: &Table{Established: true, Subflows: []KnownSubflow{initial, joined}}},
		{Event: more, Table: &Table{Established: true, Announced: announced, Subflows: []KnownSubflow{initial, joined}}},
		{Lost: true, Table: &Table{Established: true, Announced: announced, Subflows: []KnownSubflow{initial}}},
		{Table: &Table{Established: true, Announced: announced}},
		{Gone: true, Table: &Table{Established: true, Announced: announced}},
	}
	if diff := cmp.Diff(want, *told, byValue); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
}

func TestRemoteFor(t *testing.T) {
	four, six := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	other := ap("192.0.2.9:444")
	for _, tt := range []struct {
		name  string
		table Table
		local netip.Addr
		want  netip.AddrPort // invalid: there is none
	}{
		{"the first one", Table{}, four, server},
		{"none of the family", Table{}, six, netip.AddrPort{}},
		{"announced, with the first one's port", Table{Announced: []AnnouncedAddr{{1, ap("[2001:db8::2]:0")}}}, six, ap("[2001:db8::2]:443")},
		{"denied", Table{DenyJoin: true}, four, netip.AddrPort{}},
		{"denied, another one announced", Table{DenyJoin: true, Announced: []AnnouncedAddr{{1, other}}}, four, other},
	} {
		if got, ok := tt.table.RemoteFor(server, tt.local); got != tt.want || ok != tt.want.IsValid() {
			t.Errorf("%s: %v, %t, want %v", tt.name, got, ok, tt.want)
		}
	}
}

// turn calls f, which waits for the engine's goroutine, and takes that one's place.
func (b *bench) turn(t *testing.T, f func(h Handle) error) error {
	t.Helper()
	done := make(chan error)
	go func() { done <- f(b.Handle(testToken)) }()
	(<-b.inbox)(b.now)
	return <-done
}

// TestHandle: what the owner of a connection asks for is done, and is in the table.
func TestHandle(t *testing.T) {
	b := newBench(t, policy.Client)
	r, told := b.heard(t)
	ctx := t.Context()
	fresh := ap("10.0.1.1:4000")
	err := b.turn(t, func(h Handle) error {
		local, err := h.Create(ctx, netip.AddrPortFrom(fresh.Addr(), 0), server, 12, true)
		if local.Port() != 0 {
			t.Errorf("an attempt that is over has the local end %v", local)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	creating := &appearing{fakeReader: r, next: onFirst(SubflowReading{Local: fresh, Remote: server})}
	b.conns[testToken].reg.Reader = creating
	err = b.turn(t, func(h Handle) error {
		local, err := h.Create(ctx, netip.AddrPortFrom(fresh.Addr(), 0), server, 12, true)
		if local != fresh {
			t.Errorf("the local end is %v, want %v", local, fresh)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	created := "create 5: " + mptcppm.Endpoint{ID: 160, Addr: fresh.Addr(), IfIndex: 12, Flags: mptcppm.FlagBackup}.String() + " 192.0.2.1:443"
	wantDid(t, b.kernel, created, created)
	newest := (*told)[len(*told)-1].Table.Subflows
	if want := (KnownSubflow{Local: fresh, Remote: server, AddrID: 160, Backup: true}); len(newest) != 2 || newest[1] != want {
		t.Errorf("the owner was told of %+v, want %+v", newest, want)
	}
	for _, call := range []func(h Handle) error{
		func(h Handle) error { return h.SetBackup(ctx, fresh, server, false) },
		func(h Handle) error {
			id, err := h.Announce(ctx, netip.AddrPortFrom(fresh.Addr(), 0))
			if id != 160 {
				t.Errorf("announced with id %d, want that of the subflow", id)
			}
			return err
		},
		func(h Handle) error { return h.Destroy(ctx, fresh, server) },
		func(h Handle) error { return h.Withdraw(ctx, 160) },
	} {
		if err := b.turn(t, call); err != nil {
			t.Error(err)
		}
	}
	wantDid(t, b.kernel, "priority 5: 10.0.1.1:4000 192.0.2.1:443 false", "announce 5: "+mptcppm.Endpoint{ID: 160, Addr: fresh.Addr()}.String(),
		"destroy 5: 10.0.1.1:4000 192.0.2.1:443", "remove 5: 160")
	if now := (*told)[len(*told)-1].Table.Subflows; len(now) != 1 {
		t.Errorf("the owner was told of %+v, want the first subflow alone", now)
	}
}

// appearing has a further reading from the second look on.
type appearing struct {
	*fakeReader
	next  Reading
	looks int
}

func (a *appearing) Read() (Reading, error) {
	if a.looks++; a.looks > 1 {
		return a.next, nil
	}
	return a.fakeReader.Read()
}

// TestHandleErrors: the kernel's answer comes back; without a connection or an
// engine the call says so.
func TestHandleErrors(t *testing.T) {
	b := newBench(t, policy.Client)
	b.heard(t)
	ctx := t.Context()
	refused := errors.New("refused")
	b.kernel.errs["remove"], b.kernel.errs["destroy"] = mptcppm.ErrNotFound, refused
	if err := b.turn(t, func(h Handle) error { return h.Withdraw(ctx, uapi.AddrID(9)) }); err != nil {
		t.Errorf("withdrawing what the kernel does not know: %v", err)
	}
	if err := b.turn(t, func(h Handle) error { return h.Destroy(ctx, first10, server) }); !errors.Is(err, refused) {
		t.Errorf("destroy: %v", err)
	}
	b.unregister(testToken)(b.now)
	if err := b.turn(t, func(h Handle) error { return h.Destroy(ctx, first10, server) }); !errors.Is(err, mptcppm.ErrNoConnection) {
		t.Errorf("of a connection that is not registered: %v", err)
	}
	close(b.ended)
	b.inbox = nil
	if err := b.Handle(testToken).Destroy(ctx, first10, server); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after the engine's end: %v", err)
	}
}
