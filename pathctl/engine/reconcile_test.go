package engine

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
	"mpproxy/pathctl/reason"
)

const (
	createSecond = "create 5: 10.0.1.1 id 160 if 12 192.0.2.1:443"
	mappedFirst  = "5: [::ffff:10.0.0.1]:1000 [::ffff:192.0.2.1]:443"
	plainFirst   = "5: 10.0.0.1:1000 192.0.2.1:443"
)

func wantDid(t *testing.T, k *fakeKernel, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, k.take()); diff != "" {
		t.Error(diff)
	}
}

func TestReconcileCreatesBeforeItDrops(t *testing.T) {
	b := newBench(t, policy.Client)
	c, _ := b.steered(t, mode.Aggregate)
	b.reconcile(t.Context(), c, policy.Plan{
		Drop:   []policy.Drop{{ID: 1, Path: "dsl0", Cause: policy.Unneeded}},
		Create: []policy.Create{{Path: "lte0", Backup: true}},
	}, b.now)
	wantDid(t, b.kernel, "create 5: 10.0.1.1 id 160 if 12 [backup] 192.0.2.1:443", "destroy "+mappedFirst)
	if diff := cmp.Diff([]string{"10.0.1.1:0 192.0.2.1:443 pending"}, c.ends()); diff != "" {
		t.Error(diff)
	}
	f := c.find(ap("10.0.1.1:0"), server)
	if !f.backup || f.addrID != 160 || f.path != "lte0" {
		t.Errorf("pending: %+v", f)
	}
	if r := b.stateOf("dsl0").Retry(b.now); r != 0 {
		t.Errorf("a path that was not needed is left alone for %v", r)
	}
}

// TestTakeBackOfALaterSubflow: RM_ADDR travels on the older one, so the id can
// be taken back while the kernel knows it.
func TestTakeBackOfALaterSubflow(t *testing.T) {
	b := newBench(t, policy.Client)
	c, _ := b.steered(t, mode.Aggregate)
	b.subflowUp(c, mptcppm.Event{Token: testToken, Local: second, Remote: server, LocalID: 160}, b.now)
	b.reconcile(t.Context(), c, policy.Plan{Drop: []policy.Drop{{ID: 2, Path: "lte0", Cause: policy.PathDown}}}, b.now)
	wantDid(t, b.kernel, "remove 5: 160", "destroy 5: 10.0.1.1:2000 192.0.2.1:443")
}

// TestTakeBackOfOneOfSeveral: the peer would destroy all that share the id.
func TestTakeBackOfOneOfSeveral(t *testing.T) {
	b := newBench(t, policy.Client)
	c, _ := b.steered(t, mode.Ndiffports)
	b.subflowUp(c, mptcppm.Event{Token: testToken, Local: second, Remote: server, LocalID: 160}, b.now)
	b.subflowUp(c, mptcppm.Event{Token: testToken, Local: ap("10.0.1.1:2001"), Remote: server, LocalID: 160}, b.now)
	b.reconcile(t.Context(), c, policy.Plan{Drop: []policy.Drop{{ID: 2, Path: "lte0", Cause: policy.Failed}}}, b.now)
	wantDid(t, b.kernel, "destroy 5: 10.0.1.1:2000 192.0.2.1:443")
}

func TestReconcileFailedCreateBacksOff(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want time.Duration
	}{
		{"unreachable", syscall.ENETUNREACH, firstWait(pathstate.Unreachable)},
		{"no such address", syscall.EADDRNOTAVAIL, firstWait(pathstate.Reset)},
		{"the connection is gone", mptcppm.ErrNoConnection, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			c, _ := b.steered(t, mode.Aggregate)
			b.kernel.errs["create"] = tt.err
			b.reconcile(t.Context(), c, policy.Plan{Create: []policy.Create{{Path: "lte0"}}}, b.now)
			if r := b.stateOf("lte0").Retry(b.now); r != tt.want {
				t.Errorf("left alone for %v, want %v", r, tt.want)
			}
			if len(c.subflows) != 1 {
				t.Errorf("subflows: %v", c.ends())
			}
		})
	}
}

func TestReconcileCreateNeedsAWay(t *testing.T) {
	b := newBench(t, policy.Client)
	c, _ := b.steered(t, mode.Aggregate)
	b.paths[1].Addrs = []netpath.Addr{{Addr: netip.MustParseAddr("2001:db8::1")}}
	b.reconcile(t.Context(), c, policy.Plan{Create: []policy.Create{{Path: "lte0"}, {Path: "no such path"}}}, b.now)
	wantDid(t, b.kernel)
}

func TestReconcilePriority(t *testing.T) {
	for _, tt := range []struct {
		name        string
		established bool
		is, want    bool
		err         error
		did         []string
		after       bool
	}{
		{"as it is", true, true, true, nil, nil, true},
		{"to backup", true, false, true, nil, []string{"priority " + mappedFirst + " true"}, true},
		{"into use", true, true, false, nil, []string{"priority " + mappedFirst + " false"}, false},
		{"not before it is established", false, false, true, nil, nil, false},
		{"refused: asked again next time", true, false, true, mptcppm.ErrInvalid, []string{"priority " + mappedFirst + " true"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			c, _ := b.steered(t, mode.Aggregate)
			f := c.byID(1)
			f.backup, f.established = tt.is, tt.established
			b.kernel.errs["priority"] = tt.err
			b.reconcile(t.Context(), c, policy.Plan{Keep: []policy.Keep{{ID: 1, Backup: tt.want}, {ID: 99}}}, b.now)
			wantDid(t, b.kernel, tt.did...)
			if f.backup != tt.after {
				t.Errorf("backup %t", f.backup)
			}
		})
	}
}

// lossy lets a subflow have lost 30 of 100 segments in the last second.
func lossy(f *subflow) {
	f.obs.Add(uapi.TCPInfo{SndSsthresh: 10}, start.Add(-time.Second))
	f.obs.Add(uapi.TCPInfo{SndSsthresh: 10, DataSegsOut: 100, TotalRetrans: 30}, start)
}

func TestReconcileDrop(t *testing.T) {
	const destroy = "destroy " + mappedFirst
	for _, tt := range []struct {
		name  string
		cause policy.Cause
		class reason.Class
		edit  func(*subflow)
		err   error
		did   []string
		stays bool
		retry time.Duration
	}{
		{"unneeded", policy.Unneeded, reason.ClassUnneeded, nil, nil, []string{destroy}, false, 0},
		{"failed", policy.Failed, reason.ClassTimeout, nil, nil, []string{destroy, "remove 5: 0"}, false, firstWait(pathstate.Dark)},
		{"lossy", policy.Failed, reason.ClassLoss, nil, nil, []string{destroy, "remove 5: 0"}, false, firstWait(pathstate.Lossy)},
		{"lossy, and its timer has expired", policy.Failed, reason.ClassLoss, func(f *subflow) { f.obs.Timeout(2) }, nil, []string{destroy, "remove 5: 0"}, false, firstWait(pathstate.Lossy)},
		{"lossy before, now silent", policy.Failed, reason.ClassTimeout, func(f *subflow) { lossy(f); f.obs.Timeout(2) }, nil, []string{destroy, "remove 5: 0"}, false, firstWait(pathstate.Dark)},
		{"first one, path down", policy.PathDown, reason.ClassPathDown, nil, nil, []string{destroy, "remove 5: 0"}, false, 0},
		{"the oldest one that works, path down", policy.PathDown, reason.ClassPathDown, func(f *subflow) { f.initial, f.addrID = false, 161 }, nil, []string{destroy, "announce 5: 10.0.0.1 id 161", "remove 5: 161"}, false, 0},
		{"id unknown, path down", policy.PathDown, reason.ClassPathDown, func(f *subflow) { f.initial = false }, nil, []string{destroy}, false, 0},
		{"gone already", policy.Unneeded, reason.ClassUnneeded, nil, mptcppm.ErrNotFound, []string{destroy, "destroy " + plainFirst}, false, 0},
		{"connection gone", policy.Unneeded, reason.ClassUnneeded, nil, mptcppm.ErrNoConnection, []string{destroy}, false, 0},
		{"refused: tried again next time", policy.Failed, reason.ClassTimeout, nil, mptcppm.ErrInvalid, []string{destroy}, true, 0},
		{"pending without a port", policy.Failed, reason.ClassNoAnswer, func(f *subflow) { f.local, f.established = ap("10.0.0.1:0"), false }, nil, nil, false, firstWait(pathstate.Dark)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			c, _ := b.steered(t, mode.Aggregate)
			if f := c.byID(1); tt.edit != nil {
				tt.edit(f)
			}
			b.kernel.errs["destroy"] = tt.err
			b.reconcile(t.Context(), c, policy.Plan{Drop: []policy.Drop{{ID: 1, Path: "dsl0", Cause: tt.cause, Reason: reason.Reason{Class: tt.class}}, {ID: 99}}}, b.now)
			wantDid(t, b.kernel, tt.did...)
			if stays := len(c.subflows) == 1; stays != tt.stays {
				t.Errorf("recorded %t, want %t", stays, tt.stays)
			}
			if r := b.stateOf("dsl0").Retry(b.now); r != tt.retry {
				t.Errorf("path left alone for %v, want %v", r, tt.retry)
			}
		})
	}
}

// TestReconcileOtherForm: where the kernel knows a subflow by the other form of
// its addresses, that one is kept.
func TestReconcileOtherForm(t *testing.T) {
	for _, known := range []string{plainFirst, mappedFirst} {
		b := newBench(t, policy.Client)
		c, _ := b.steered(t, mode.Aggregate)
		f := c.byID(1)
		for form, err := range map[string]error{plainFirst: mptcppm.ErrNotFound, mappedFirst: mptcppm.ErrNotFound} {
			if form != known {
				b.kernel.errs["priority "+form+" true"] = err
			}
		}
		if known == mappedFirst {
			f.local, f.remote = first10, server
		}
		b.setPriority(t.Context(), c, Change{Action: ActionBackup, ID: 1}, b.now)
		other := map[string]string{plainFirst: mappedFirst, mappedFirst: plainFirst}[known]
		wantDid(t, b.kernel, "priority "+other+" true", "priority "+known+" true")
		b.setPriority(t.Context(), c, Change{Action: ActionUse, ID: 1}, b.now)
		wantDid(t, b.kernel, "priority "+known+" false")
	}
}

func TestAddrIDs(t *testing.T) {
	b := newBench(t, policy.Client)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}) }
	onPath := b.paths[0].Addrs[0].Addr
	mine := b.addrID(onPath)
	for i := range 1000 {
		id := b.addrID(addr(i))
		if id < mptcppm.FirstClientID || id >= mptcppm.FirstClientID+mptcppm.IDsPerRole || id == mine {
			t.Fatalf("address %d has id %d", i, id)
		}
		if again := b.addrID(addr(i)); again != id {
			t.Fatalf("address %d has ids %d and %d", i, id, again)
		}
	}
	if b.addrID(onPath) != mine {
		t.Error("the address of a path has another id now")
	}
	seen := make(map[uapi.AddrID]bool)
	for _, id := range b.ids {
		if seen[id] {
			t.Errorf("id %d stands for two addresses", id)
		}
		seen[id] = true
	}
	if len(b.ids) > mptcppm.IDsPerRole {
		t.Errorf("%d addresses are remembered", len(b.ids))
	}
}

// TestPeerTakesAddressBack: the peer knows that a path is gone before our
// timeouts do.
func TestPeerTakesAddressBack(t *testing.T) {
	for _, tt := range []struct {
		name   string
		joined bool // there is a second subflow, to the peer's address 161
		id     uapi.AddrID
		want   []string
	}{
		{"the first address, with another left", true, 0, []string{"destroy " + mappedFirst}},
		{"the joined one", true, 161, []string{"destroy 5: 10.0.1.1:2000 192.0.2.1:443"}},
		{"one that no subflow uses", true, 9, nil},
		{"the only one", false, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Concentrator)
			c, _ := b.steered(t, mode.Aggregate)
			if tt.joined {
				b.event(t, mptcppm.Event{Kind: mptcppm.EventSubflowEstablished, Local: second, Remote: server, RemoteID: 161})
			}
			before := len(c.subflows)
			b.kernel.take()
			b.event(t, mptcppm.Event{Kind: mptcppm.EventRemoved, RemoteID: tt.id})
			if diff := cmp.Diff(tt.want, b.kernel.take()); diff != "" {
				t.Error(diff)
			}
			if got := len(c.subflows); got != before-len(tt.want) {
				t.Errorf("%d subflows are left of %d", got, before)
			}
		})
	}
}
