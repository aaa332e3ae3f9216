package engine

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
)

var (
	compareAddrs    = cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{})
	ap              = netip.MustParseAddrPort
	anyPath         = func(_ *connection, local, _ netip.Addr) string { return "via " + local.String() }
	established     = uapi.TCPInfo{State: uapi.TCPEstablished}
	synSent         = uapi.TCPInfo{State: uapi.TCPSynSent}
	mapped10, far10 = ap("[::ffff:10.0.0.1]:1000"), ap("[::ffff:192.0.2.1]:443")
)

func reading(local, remote string, tcp uapi.TCPInfo) SubflowReading {
	return SubflowReading{Local: ap(local), Remote: ap(remote), TCP: tcp}
}

// ends lists a connection's subflows, by local and remote end in the form that
// commands want.
func (c *connection) ends() (out []string) {
	for _, f := range c.subflows {
		s := f.local.String() + " " + f.remote.String()
		if !f.established {
			s += " pending"
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// TestConnectionUpdate: from two subflows, one of them being opened, to what a
// reading says.
func TestConnectionUpdate(t *testing.T) {
	const first, pending = "[::ffff:10.0.0.1]:1000 [::ffff:192.0.2.1]:443", "10.0.1.1:0 192.0.2.1:443 pending"
	for _, tt := range []struct {
		name     string
		readings []SubflowReading
		want     []string
	}{
		{"the same, without IPv6 forms", []SubflowReading{reading("10.0.0.1:1000", "192.0.2.1:443", established)}, []string{pending, first}},
		{"the first one has vanished", nil, []string{pending}},
		{"the first one is closing", []SubflowReading{reading("10.0.0.1:1000", "192.0.2.1:443", uapi.TCPInfo{State: uapi.TCPClose})}, []string{pending}},
		{"the pending one has a port", []SubflowReading{
			reading("10.0.0.1:1000", "192.0.2.1:443", established), reading("10.0.1.1:5", "192.0.2.1:443", synSent),
		}, []string{"10.0.1.1:5 192.0.2.1:443 pending", first}},
		{"the pending one is established", []SubflowReading{
			reading("10.0.0.1:1000", "192.0.2.1:443", established), reading("10.0.1.1:5", "192.0.2.1:443", established),
		}, []string{"10.0.1.1:5 192.0.2.1:443", first}},
		{"a new one from elsewhere", []SubflowReading{
			reading("10.0.0.1:1000", "192.0.2.1:443", established), reading("10.0.2.1:6", "192.0.2.1:443", established),
		}, []string{pending, "10.0.2.1:6 192.0.2.1:443", first}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newConnection(start)
			c.addSubflow(mapped10, far10, "a", start).established = true
			c.addSubflow(ap("10.0.1.1:0"), ap("192.0.2.1:443"), "b", start)
			c.update(Reading{Subflows: tt.readings}, anyPath, start)
			if diff := cmp.Diff(tt.want, c.ends()); diff != "" {
				t.Error(diff)
			}
			for _, f := range c.subflows {
				if other := c.find(f.local, f.remote); other != f {
					t.Errorf("%v to %v is there twice", f.local, f.remote)
				}
			}
		})
	}
}

func TestConnectionAdoptKeepsWhatIsKnown(t *testing.T) {
	c := newConnection(start)
	f := c.addSubflow(ap("10.0.1.1:0"), ap("192.0.2.1:443"), "lte0", start)
	f.backup, f.addrID = true, 7
	c.update(Reading{Subflows: []SubflowReading{reading("10.0.1.1:5", "192.0.2.1:443", synSent)}}, anyPath, start.Add(1))
	got := c.find(ap("10.0.1.1:5"), ap("192.0.2.1:443"))
	if got != f || !f.backup || f.addrID != 7 || f.path != "lte0" || f.since != start {
		t.Errorf("got %+v", got)
	}
	if other := c.adopt(ap("10.0.1.1:6"), ap("192.0.2.1:443"), 0); other != nil {
		t.Errorf("a subflow with a port was adopted again: %+v", other)
	}
	c.update(Reading{}, anyPath, start.Add(2))
	if len(c.subflows) != 0 {
		t.Errorf("one that was given up stays: %v", c.ends())
	}
}

func TestConnectionPendingOn(t *testing.T) {
	c := newConnection(start)
	c.addSubflow(ap("[::ffff:10.0.0.1]:0"), far10, "a", start)
	c.addSubflow(ap("10.0.0.2:9"), ap("192.0.2.1:443"), "b", start)
	c.addSubflow(ap("10.0.0.3:0"), ap("192.0.2.1:443"), "c", start).established = true
	for addr, want := range map[string]bool{
		"10.0.0.1": true, "::ffff:10.0.0.1": true, "10.0.0.2": false, "10.0.0.3": false, "2001:db8::1": false,
	} {
		if f := c.pendingOn(netip.MustParseAddr(addr), 0); (f != nil) != want {
			t.Errorf("%s: found %t, want %t", addr, f != nil, want)
		}
	}
}

func TestConnectionMoves(t *testing.T) {
	c := newConnection(start)
	var quiet []int
	for _, info := range []uapi.Info{{}, {BytesAcked: 1}, {BytesAcked: 1}, {BytesAcked: 1, BytesReceived: 1}, {BytesAcked: 1, BytesReceived: 1, WriteSeq: 9, SndUna: 4}} {
		c.update(Reading{Info: info}, anyPath, start)
		quiet = append(quiet, c.quiet)
	}
	if diff := cmp.Diff([]int{1, 0, 1, 0, 1}, quiet); diff != "" {
		t.Error(diff)
	}
	if v := c.view(time.Time{}, start); v.Sent != 1 || v.Received != 1 || v.Pending != 5 {
		t.Errorf("the policy sees %+v", v)
	}
}

func TestConnectionRemoteFor(t *testing.T) {
	const none = ""
	for _, tt := range []struct {
		name      string
		remote0   string
		denyJoin  bool
		announced string
		local     string
		want      string
	}{
		{"the first", "192.0.2.1:443", false, none, "10.0.0.1", "192.0.2.1:443"},
		{"the first, in IPv6 form", "[::ffff:192.0.2.1]:443", false, none, "10.0.0.1", "192.0.2.1:443"},
		{"the first is preferred", "192.0.2.1:443", false, "192.0.2.9:0", "10.0.0.1", "192.0.2.1:443"},
		{"other family", "192.0.2.1:443", false, none, "2001:db8::1", none},
		{"other family, announced", "192.0.2.1:443", false, "[2001:db8::9]:0", "2001:db8::1", "[2001:db8::9]:443"},
		{"other family, announced with a port", "192.0.2.1:443", false, "[2001:db8::9]:8443", "2001:db8::1", "[2001:db8::9]:8443"},
		{"IPv4 announced to an IPv6 connection", "[2001:db8::2]:443", false, "192.0.2.9:0", "10.0.0.1", "192.0.2.9:443"},
		{"announced in IPv6 form", "[2001:db8::2]:443", false, "[::ffff:192.0.2.9]:0", "10.0.0.1", "192.0.2.9:443"},
		{"the first takes none", "192.0.2.1:443", true, none, "10.0.0.1", none},
		{"the first takes none, another does", "192.0.2.1:443", true, "192.0.2.9:0", "10.0.0.1", "192.0.2.9:443"},
		{"announced is of the wrong family", "192.0.2.1:443", true, "[2001:db8::9]:0", "10.0.0.1", none},
		{"no event yet, IPv4", none, false, none, "10.0.0.1", none},
		{"no event yet, IPv6", none, false, none, "2001:db8::1", none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newConnection(start)
			c.denyJoin = tt.denyJoin
			if tt.remote0 != none {
				c.remote0 = ap(tt.remote0)
			}
			if tt.announced != none {
				c.applyEvent(mptcppm.Event{Kind: mptcppm.EventAnnounced, RemoteID: 2, Remote: ap(tt.announced)})
			}
			got, ok := c.remoteFor(netip.MustParseAddr(tt.local))
			if ok != (tt.want != none) || ok && got != ap(tt.want) {
				t.Errorf("got %v, %t, want %q", got, ok, tt.want)
			}
		})
	}
}

func TestConnectionApplyEvent(t *testing.T) {
	c := newConnection(start)
	apply := func(ev mptcppm.Event) {
		ev.Local, ev.Remote = mapped10, far10
		c.applyEvent(ev)
	}
	apply(mptcppm.Event{Kind: mptcppm.EventCreated, ServerSide: true})
	if c.established || !c.server || c.local0 != mapped10 || c.remote0 != far10 || c.denyJoin {
		t.Errorf("created: %+v", c)
	}
	apply(mptcppm.Event{Kind: mptcppm.EventEstablished, Flags: mptcppm.EventDenyJoinID0})
	if !c.established || c.server || !c.denyJoin {
		t.Errorf("established: %+v", c)
	}
	for id, a := range map[uapi.AddrID]string{1: "192.0.2.8:0", 2: "192.0.2.9:1"} {
		c.applyEvent(mptcppm.Event{Kind: mptcppm.EventAnnounced, RemoteID: id, Remote: ap(a)})
	}
	c.applyEvent(mptcppm.Event{Kind: mptcppm.EventRemoved, RemoteID: 1})
	want := map[uapi.AddrID]netip.AddrPort{2: ap("192.0.2.9:1")}
	if diff := cmp.Diff(want, c.announced, compareAddrs); diff != "" {
		t.Error(diff)
	}
}

// TestConnectionRemembersEndings: an event about a subflow's end may come after
// a reading without it, and must not hit one that is being opened.
func TestConnectionRemembersEndings(t *testing.T) {
	local, remote := ap("10.0.0.1:7"), ap("192.0.2.1:443")
	for _, tt := range []struct {
		name string
		do   func(c *connection)
		path string // whose failure it is; empty: nobody's
		left []string
	}{
		{"it is there", func(c *connection) { c.addSubflow(local, remote, "p", start) }, "p", nil},
		{"a reading was first", func(c *connection) {
			c.addSubflow(local, remote, "p", start)
			c.update(Reading{}, anyPath, start)
		}, "p", nil},
		{"we destroyed it", func(c *connection) {
			f := c.addSubflow(local, remote, "p", start)
			c.end(f, true, start)
		}, "", nil},
		{"we destroyed it, and a new one is being opened", func(c *connection) {
			f := c.addSubflow(local, remote, "p", start)
			c.end(f, true, start)
			c.addSubflow(ap("10.0.0.1:0"), remote, "p", start)
		}, "", []string{"10.0.0.1:0 192.0.2.1:443 pending"}},
		{"we destroyed it, and a late event brought it back", func(c *connection) {
			f := c.addSubflow(local, remote, "p", start)
			c.end(f, true, start)
			c.addSubflow(local, remote, "p", start)
			c.update(Reading{}, anyPath, start)
		}, "", nil},
		{"a pending one is refused", func(c *connection) { c.addSubflow(ap("10.0.0.1:0"), remote, "p", start) }, "p", nil},
		{"nobody knows it", func(*connection) {}, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newConnection(start)
			tt.do(c)
			end, ok := c.takeEnded(local, remote)
			if ok != (tt.path != "") || ok && (end.path != tt.path || end.since != start) {
				t.Errorf("got %q since %v, %t, want %q since %v", end.path, end.since, ok, tt.path, start)
			}
			if diff := cmp.Diff(tt.left, c.ends()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConnectionForgetsEndings(t *testing.T) {
	c := newConnection(start)
	c.addSubflow(ap("10.0.0.1:7"), ap("192.0.2.1:443"), "p", start)
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {endingKept - 1, 1}, {endingKept, 0}} {
		c.update(Reading{}, anyPath, start.Add(step.after))
		if n := len(c.ended); n != step.want {
			t.Errorf("after %v %d endings are remembered, want %d", step.after, n, step.want)
		}
	}
}
