package inkernel

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
)

var (
	wifi4, wifi6 = netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8:1::10")
	lte4, lte6   = netip.MustParseAddr("198.51.100.10"), netip.MustParseAddr("2001:db8:2::10")
)

func testPath(name string, index int, addrs ...netip.Addr) netpath.Path {
	p := netpath.Path{Name: name, Interface: name, Index: index, State: netpath.Up}
	for _, a := range addrs {
		p.Addrs = append(p.Addrs, netpath.Addr{Addr: a})
	}
	return p
}

func testDown(p netpath.Path) netpath.Path {
	p.State, p.Reason = netpath.Down, "no carrier"
	return p
}

func testMetered(p netpath.Path) netpath.Path {
	p.Metered = true
	return p
}

func wantSame(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestEndpointsFor(t *testing.T) {
	const sub, backup = mptcppm.FlagSubflow, mptcppm.FlagSubflow | mptcppm.FlagBackup
	for _, tt := range []struct {
		name  string
		paths []netpath.Path
		want  []mptcppm.Endpoint
	}{
		{"no path", nil, nil},
		{"one path", []netpath.Path{testPath("wifi", 2, wifi4)}, []mptcppm.Endpoint{{Addr: wifi4, Flags: sub, IfIndex: 2}}},
		{
			"both families",
			[]netpath.Path{testPath("wifi", 2, wifi4, wifi6)},
			[]mptcppm.Endpoint{{Addr: wifi4, Flags: sub, IfIndex: 2}, {Addr: wifi6, Flags: sub, IfIndex: 2}},
		},
		{
			"a metered path is a backup",
			[]netpath.Path{testPath("wifi", 2, wifi4), testMetered(testPath("lte", 3, lte4))},
			[]mptcppm.Endpoint{{Addr: wifi4, Flags: sub, IfIndex: 2}, {Addr: lte4, Flags: backup, IfIndex: 3}},
		},
		{
			"a path that is down",
			[]netpath.Path{testDown(testPath("wifi", 2, wifi4)), testPath("lte", 3, lte4)},
			[]mptcppm.Endpoint{{Addr: lte4, Flags: sub, IfIndex: 3}},
		},
		{"a path without addresses", []netpath.Path{testPath("wifi", 2)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) { wantSame(t, "endpoints", tt.want, EndpointsFor(tt.paths)) })
	}
}

func TestLimitsFor(t *testing.T) {
	l := func(subflows, accepted uint32) mptcppm.Limits {
		return mptcppm.Limits{Subflows: subflows, AddAddrAccepted: accepted}
	}
	var many []netpath.Path
	for i := range 10 {
		many = append(many, testPath(fmt.Sprint("p", i), i+2, netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})))
	}
	for _, tt := range []struct {
		name  string
		paths []netpath.Path
		now   mptcppm.Limits
		want  mptcppm.Limits
	}{
		{"nothing", nil, l(2, 0), l(2, 0)},
		{"one path", []netpath.Path{testPath("a", 2, wifi4)}, l(0, 0), l(1, 0)},
		{"two paths of one family", []netpath.Path{testPath("a", 2, wifi4), testPath("b", 3, lte4)}, l(0, 0), l(2, 0)},
		{"what others asked for stays", []netpath.Path{testPath("a", 2, wifi4)}, l(5, 3), l(5, 3)},
		{"each limit by itself", []netpath.Path{testPath("a", 2, wifi4), testPath("b", 3, lte6)}, l(8, 0), l(8, 2)},
		{"one IPv4 and one IPv6", []netpath.Path{testPath("a", 2, wifi4), testPath("b", 3, lte6)}, l(2, 0), l(2, 2)},
		{"one of both and one IPv4", []netpath.Path{testPath("a", 2, wifi4, wifi6), testPath("b", 3, lte4)}, l(2, 0), l(2, 2)},
		{"two of both", []netpath.Path{testPath("a", 2, wifi4, wifi6), testPath("b", 3, lte4, lte6)}, l(0, 0), l(2, 0)},
		{"down paths do not count", []netpath.Path{testPath("a", 2, wifi4), testDown(testPath("b", 3, lte6))}, l(0, 0), l(1, 0)},
		{"more than the kernel takes", many, l(2, 0), l(mptcppm.MaxEndpoints, 0)},
	} {
		t.Run(tt.name, func(t *testing.T) { wantSame(t, "limits", tt.want, LimitsFor(tt.paths, tt.now)) })
	}
}

func TestAnnouncements(t *testing.T) {
	wantSame(t, "endpoints", []mptcppm.Endpoint{
		{Addr: wifi4, Flags: mptcppm.FlagSignal}, {Addr: wifi6, Flags: mptcppm.FlagSignal},
	}, Announcements([]netip.Addr{wifi4, wifi6}))
	wantSame(t, "endpoints of none", []mptcppm.Endpoint(nil), Announcements(nil))
}

func TestDiff(t *testing.T) {
	const first = mptcppm.FirstClientID
	ep := func(id uapi.AddrID, a netip.Addr, flags mptcppm.Flags, index int) mptcppm.Endpoint {
		return mptcppm.Endpoint{ID: id, Addr: a, Flags: flags, IfIndex: index}
	}
	const sub, backup = mptcppm.FlagSubflow, mptcppm.FlagSubflow | mptcppm.FlagBackup
	want := func(eps ...mptcppm.Endpoint) []mptcppm.Endpoint { return eps }
	for _, tt := range []struct {
		name        string
		have, want  []mptcppm.Endpoint
		remove, add []mptcppm.Endpoint
		notes       int
	}{
		{name: "nothing"},
		{
			name: "first start", want: want(ep(0, wifi4, sub, 2), ep(0, lte4, sub, 3)),
			add: want(ep(first, wifi4, sub, 2), ep(first+1, lte4, sub, 3)),
		},
		{name: "all there", have: want(ep(first+4, wifi4, sub, 2)), want: want(ep(0, wifi4, sub, 2))},
		{
			name: "one too much", have: want(ep(first, wifi4, sub, 2), ep(first+1, lte4, sub, 3)), want: want(ep(0, wifi4, sub, 2)),
			remove: want(ep(first+1, lte4, sub, 3)),
		},
		{name: "none wanted any more", have: want(ep(first, wifi4, sub, 2)), remove: want(ep(first, wifi4, sub, 2))},
		{
			name: "ids in use are not given away", have: want(ep(first, wifi4, sub, 2), ep(first+2, wifi6, sub, 2)),
			want: want(ep(0, wifi4, sub, 2), ep(0, wifi6, sub, 2), ep(0, lte4, sub, 3), ep(0, lte6, sub, 3)),
			add:  want(ep(first+1, lte4, sub, 3), ep(first+3, lte6, sub, 3)),
		},
		{
			name: "the id of what is removed may be reused", have: want(ep(first, wifi4, sub, 2)), want: want(ep(0, lte4, sub, 3)),
			remove: want(ep(first, wifi4, sub, 2)), add: want(ep(first, lte4, sub, 3)),
		},
		{
			name: "other flags", have: want(ep(first, wifi4, sub, 2)), want: want(ep(0, wifi4, backup, 2)),
			remove: want(ep(first, wifi4, sub, 2)), add: want(ep(first, wifi4, backup, 2)),
		},
		{
			name: "other interface", have: want(ep(first, wifi4, sub, 2)), want: want(ep(0, wifi4, sub, 9)),
			remove: want(ep(first, wifi4, sub, 2)), add: want(ep(first, wifi4, sub, 9)),
		},
		{
			name: "foreign, other address", have: want(ep(1, lte4, sub, 3)), want: want(ep(0, wifi4, sub, 2)),
			add: want(ep(first, wifi4, sub, 2)),
		},
		{
			name: "foreign, our address", have: want(ep(1, wifi4, sub, 0)), want: want(ep(0, wifi4, sub, 2), ep(0, lte4, sub, 3)),
			add: want(ep(first, lte4, sub, 3)), notes: 1,
		},
		{name: "foreign, not wanted", have: want(ep(1, wifi4, sub, 2), ep(255, lte4, sub, 3))},
		{
			name: "of the other role", have: want(ep(mptcppm.FirstConcentratorID, wifi4, mptcppm.FlagSignal, 0)), want: want(ep(0, lte4, sub, 3)),
			add: want(ep(first, lte4, sub, 3)),
		},
		{
			name: "foreign, with a port", have: want(mptcppm.Endpoint{ID: 1, Addr: wifi4, Port: 80, Flags: mptcppm.FlagSignal}), want: want(ep(0, wifi4, sub, 2)),
			add: want(ep(first, wifi4, sub, 2)),
		},
		{
			name: "made by the kernel, our address", have: want(ep(1, wifi4, mptcppm.FlagImplicit, 0)), want: want(ep(0, wifi4, sub, 2)),
			remove: want(ep(1, wifi4, mptcppm.FlagImplicit, 0)), add: want(ep(first, wifi4, sub, 2)),
		},
		{
			name: "made by the kernel, another address", have: want(ep(1, lte4, mptcppm.FlagImplicit, 0)), want: want(ep(0, wifi4, sub, 2)),
			add: want(ep(first, wifi4, sub, 2)),
		},
		{name: "last id of the range", have: want(ep(first+mptcppm.IDsPerRole-1, wifi4, sub, 2)), remove: want(ep(first+mptcppm.IDsPerRole-1, wifi4, sub, 2))},
		{name: "before and behind the range", have: want(ep(first-1, wifi4, sub, 2), ep(first+mptcppm.IDsPerRole, wifi6, sub, 2))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			have, wanted := slices.Clone(tt.have), slices.Clone(tt.want)
			got := diff(tt.have, tt.want, inRangeOf(tt.have, first), first)
			wantSame(t, "remove", tt.remove, got.remove)
			wantSame(t, "add", tt.add, got.add)
			if len(got.notes) != tt.notes || tt.notes > 0 && !strings.Contains(got.notes[0], wifi4.String()) {
				t.Errorf("notes %q, want %d about %v", got.notes, tt.notes, wifi4)
			}
			wantSame(t, "the list of what is there, afterwards", have, tt.have)
			wantSame(t, "the list of what is wanted, afterwards", wanted, tt.want)
		})
	}
}

// inRangeOf takes every endpoint of a range for ours.
func inRangeOf(have []mptcppm.Endpoint, first uapi.AddrID) (own ownership) {
	for _, h := range have {
		if mptcppm.InRange(h.ID, first) {
			own = append(own, ownEndpoint{h.ID, h.Addr})
		}
	}
	return own
}

// TestDiffLeavesForeignIDsOfOurRange: the kernel gives another program's endpoint
// the number behind ours.
func TestDiffLeavesForeignIDsOfOurRange(t *testing.T) {
	ours := mptcppm.Endpoint{ID: mptcppm.FirstClientID, Addr: wifi4, Flags: mptcppm.FlagSubflow}
	theirs := mptcppm.Endpoint{ID: mptcppm.FirstClientID + 1, Addr: lte4, Flags: mptcppm.FlagSubflow}
	own := ownership{{ours.ID, ours.Addr}}
	c := diff([]mptcppm.Endpoint{ours, theirs}, []mptcppm.Endpoint{{Addr: wifi6, Flags: mptcppm.FlagSubflow}}, own, mptcppm.FirstClientID)
	wantSame(t, "remove", []mptcppm.Endpoint{ours}, c.remove)
	if c.add[0].ID == theirs.ID {
		t.Errorf("its id was taken: %v", c.add[0])
	}
	wantSame(t, "ours afterwards", ownership{{c.add[0].ID, wifi6}}, own.without(ours).with(c.add))
}

// TestDiffConverges: carrying the changes out leaves nothing to do, whatever was
// there before, and never are two endpoints given one id.
func TestDiffConverges(t *testing.T) {
	var paths []netpath.Path
	for i := range mptcppm.MaxEndpoints / 2 {
		paths = append(paths, testPath(fmt.Sprint("p", i), i+2,
			netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i+1))))
	}
	all := EndpointsFor(paths)
	var have []mptcppm.Endpoint
	for mask := range 1 << len(paths) {
		var wanted []mptcppm.Endpoint
		for i, e := range all {
			if mask&(1<<(i/2)) != 0 {
				wanted = append(wanted, e)
			}
		}
		c := diff(have, wanted, inRangeOf(have, mptcppm.FirstClientID), mptcppm.FirstClientID)
		have = carryOut(t, have, c)
		if len(have) != len(wanted) {
			t.Fatalf("mask %b: %d endpoints, want %d", mask, len(have), len(wanted))
		}
		if c := diff(have, wanted, inRangeOf(have, mptcppm.FirstClientID), mptcppm.FirstClientID); len(c.add)+len(c.remove) != 0 {
			t.Fatalf("mask %b: still to do: %+v", mask, c)
		}
	}
}

// carryOut does to a list what the kernel would.
func carryOut(t *testing.T, have []mptcppm.Endpoint, c changes) []mptcppm.Endpoint {
	t.Helper()
	for _, r := range c.remove {
		have = slices.DeleteFunc(slices.Clone(have), func(h mptcppm.Endpoint) bool { return h.ID == r.ID })
	}
	for _, a := range c.add {
		if slices.ContainsFunc(have, func(h mptcppm.Endpoint) bool { return h.ID == a.ID || h.Addr == a.Addr }) {
			t.Fatalf("%v collides with one of %v", a, have)
		}
		have = append(have, a)
	}
	return have
}

func TestDiffLeavesOutWhatDoesNotFit(t *testing.T) {
	var wanted []mptcppm.Endpoint
	for i := range 10 {
		wanted = append(wanted, mptcppm.Endpoint{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), Flags: mptcppm.FlagSubflow})
	}
	foreign := mptcppm.Endpoint{ID: 1, Addr: lte4, Flags: mptcppm.FlagSignal}
	stale := mptcppm.Endpoint{ID: mptcppm.FirstClientID + 7, Addr: lte6, Flags: mptcppm.FlagSubflow}
	c := diff([]mptcppm.Endpoint{foreign, stale}, wanted, ownership{{stale.ID, stale.Addr}}, mptcppm.FirstClientID)
	if len(c.add) != 7 || c.add[0].Addr != wanted[0].Addr || len(c.notes) != 3 || !strings.Contains(c.notes[0], "192.0.2.8 ") {
		t.Errorf("adds %v, notes %q: want the first 7, and a note for each of the others", c.add, c.notes)
	}
}

func TestRangesDoNotOverlap(t *testing.T) {
	for id := range 256 {
		if mptcppm.InRange(uapi.AddrID(id), mptcppm.FirstClientID) && mptcppm.InRange(uapi.AddrID(id), mptcppm.FirstConcentratorID) {
			t.Fatalf("id %d belongs to both roles", id)
		}
	}
	if mptcppm.IDsPerRole < 2*mptcppm.MaxEndpoints {
		t.Error("the range is too small for the kernel's endpoints, old and new")
	}
}
