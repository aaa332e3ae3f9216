package pathctl

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/test/netns"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// lab is a client with two links and a concentrator, and the path managers of
// both.
type lab struct {
	*netns.Topology
	client, concentrator *mptcppm.Client
	state                string
}

func newLab(t *testing.T, links ...netns.LinkConfig) *lab {
	t.Helper()
	netns.Require(t)
	if _, err := os.Stat("/proc/sys/net/mptcp"); err != nil {
		t.Skip("the kernel has no MPTCP: ", err)
	}
	if links == nil {
		links = []netns.LinkConfig{{Name: "wifi0", V4: true}, {Name: "lte0", V4: true}}
	}
	topo, err := netns.New(t.Context(), netns.Config{Links: links})
	must(t, err)
	t.Cleanup(func() { must(t, topo.Close()) })
	l := &lab{Topology: topo, state: filepath.Join(topo.Client.Dir(), "state")}
	l.client, l.concentrator = dialPM(t, topo.Client), dialPM(t, topo.Concentrator)
	return l
}

func dialPM(t *testing.T, h *netns.Host) *mptcppm.Client {
	t.Helper()
	c, err := mptcppm.Dial(&mptcppm.Config{NetNS: h.NetNS()})
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// start runs a controller in a host and waits until it has acted.
func (l *lab) start(t *testing.T, role string, env ...string) *netns.Process {
	t.Helper()
	host := l.Client
	if role == "concentrator" {
		host = l.Concentrator
	}
	p, err := host.Start(testContext(t), netns.Spec{
		Path: "/proc/self/exe", Name: role, Env: append([]string{envRole + "=" + role, envState + "=" + l.state, "GORACE=atexit_sleep_ms=0"}, env...),
	})
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("output of the %s:\n%s", role, p.Output())
		}
		must(t, p.Kill())
	})
	waitFor(t, p, "controller ready")
	return p
}

func waitFor(t *testing.T, p *netns.Process, text string) string {
	t.Helper()
	line, err := p.WaitOutput(testContext(t), text)
	must(t, err)
	return line
}

func stop(t *testing.T, p *netns.Process) {
	t.Helper()
	if err := p.Stop(testContext(t)); err != nil {
		t.Errorf("the controller ended with %v", err)
	}
}

func endpoints(t *testing.T, c *mptcppm.Client) []mptcppm.Endpoint {
	t.Helper()
	all, err := c.Endpoints(testContext(t))
	must(t, err)
	return all
}

func wantEndpoints(t *testing.T, when string, c *mptcppm.Client, want ...mptcppm.Endpoint) {
	t.Helper()
	wantSame(t, "endpoints "+when, want, endpoints(t, c))
}

func limits(t *testing.T, c *mptcppm.Client) mptcppm.Limits {
	t.Helper()
	l, err := c.Limits(testContext(t))
	must(t, err)
	return l
}

func wantLimits(t *testing.T, when string, c *mptcppm.Client, subflows, accepted uint32) {
	t.Helper()
	wantSame(t, "limits "+when, mptcppm.Limits{Subflows: subflows, AddAddrAccepted: accepted}, limits(t, c))
}

// eventually looks again until the endpoints are these: what happens to a link
// reaches the controller when it does.
func eventually(t *testing.T, what string, c *mptcppm.Client, want func([]mptcppm.Endpoint) bool) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		got := endpoints(t, c)
		if want(got) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: still %v", what, got)
		}
	}
}

// index is an interface's index in the client.
func (l *lab) index(t *testing.T, name string) (index int) {
	t.Helper()
	must(t, l.Client.Do(testContext(t), func() error {
		i, err := net.InterfaceByName(name)
		if err == nil {
			index = i.Index
		}
		return err
	}))
	return index
}

// own is the endpoint that the client's controller makes for a link.
func (l *lab) own(t *testing.T, nth, link int) mptcppm.Endpoint {
	t.Helper()
	return mptcppm.Endpoint{
		ID: mptcppm.FirstClientID + uapi.AddrID(nth), Addr: l.Links[link].Client4,
		Flags: mptcppm.FlagSubflow, IfIndex: l.index(t, l.Links[link].Name),
	}
}

func TestClientRegistersAndRestores(t *testing.T) {
	l := newLab(t)
	must(t, l.client.SetLimits(testContext(t), mptcppm.Limits{Subflows: 1}))
	p := l.start(t, "client")
	wantEndpoints(t, "while it runs", l.client, l.own(t, 0, 0), l.own(t, 1, 1))
	wantLimits(t, "while it runs", l.client, 2, 0)
	waitFor(t, p, `status active=true endpoints=2 foreign="" problem="<nil>"`)
	stop(t, p)
	wantEndpoints(t, "after it stopped", l.client)
	wantLimits(t, "after it stopped", l.client, 1, 0)
	if left, _ := filepath.Glob(filepath.Join(l.state, "*")); len(left) != 0 {
		t.Errorf("files left: %v", left)
	}
}

func TestClientFollowsItsPaths(t *testing.T) {
	l := newLab(t)
	first, second := l.own(t, 0, 0), l.own(t, 1, 1)
	p := l.start(t, "client")
	must(t, l.Links[1].Disconnect(testContext(t)))
	eventually(t, "one link is gone", l.client, func(e []mptcppm.Endpoint) bool { return slices.Equal(e, []mptcppm.Endpoint{first}) })
	must(t, l.Links[1].Connect(testContext(t)))
	eventually(t, "the link is back", l.client, func(e []mptcppm.Endpoint) bool {
		return slices.Equal(e, []mptcppm.Endpoint{first, second})
	})
	stop(t, p)
	wantEndpoints(t, "after it stopped", l.client)
}

func TestClientOfBothFamilies(t *testing.T) {
	l := newLab(t, netns.LinkConfig{Name: "wifi0", V4: true}, netns.LinkConfig{Name: "lte0", V6: true})
	p := l.start(t, "client")
	wantEndpoints(t, "while it runs", l.client, l.own(t, 0, 0), mptcppm.Endpoint{
		ID: mptcppm.FirstClientID + 1, Addr: l.Links[1].Client6, Flags: mptcppm.FlagSubflow, IfIndex: l.index(t, "lte0"),
	})
	wantLimits(t, "while it runs", l.client, 2, 2)
	stop(t, p)
	wantLimits(t, "after it stopped", l.client, 2, 0)
}

func TestForeignEndpointsStay(t *testing.T) {
	l := newLab(t)
	foreign := []mptcppm.Endpoint{
		{ID: 3, Addr: l.Links[0].Client4, Flags: mptcppm.FlagSubflow | mptcppm.FlagBackup},
		{ID: 4, Addr: netip.MustParseAddr("203.0.113.77"), Flags: mptcppm.FlagSignal},
	}
	for _, e := range foreign {
		must(t, l.client.AddEndpoint(testContext(t), e))
	}
	p := l.start(t, "client")
	wantEndpoints(t, "while it runs", l.client, append(slices.Clone(foreign), l.own(t, 0, 1))...)
	line := waitFor(t, p, "status active=true endpoints=3")
	if !strings.Contains(line, "registered by another program") || !strings.Contains(line, l.Links[0].Client4.String()) {
		t.Errorf("%s does not tell of the foreign endpoint", line)
	}
	stop(t, p)
	wantEndpoints(t, "after it stopped", l.client, foreign...)
}

func TestLimitsThatSomebodyElseChanged(t *testing.T) {
	l := newLab(t)
	must(t, l.client.SetLimits(testContext(t), mptcppm.Limits{}))
	p := l.start(t, "client")
	wantLimits(t, "while it runs", l.client, 2, 0)
	must(t, l.client.SetLimits(testContext(t), mptcppm.Limits{Subflows: 5, AddAddrAccepted: 1}))
	stop(t, p)
	wantLimits(t, "after it stopped", l.client, 5, 1)
}

// TestLargeLimitsAreKept: they are nothing to put back.
func TestLargeLimitsAreKept(t *testing.T) {
	l := newLab(t)
	must(t, l.client.SetLimits(testContext(t), mptcppm.Limits{Subflows: 8, AddAddrAccepted: 4}))
	p := l.start(t, "client")
	wantLimits(t, "while it runs", l.client, 8, 4)
	left, err := filepath.Glob(filepath.Join(l.state, "*"))
	must(t, err)
	for _, f := range left {
		b, err := os.ReadFile(f)
		must(t, err)
		if strings.Contains(string(b), "mptcp.limits") {
			t.Errorf("the journal has %s although no limit was changed", b)
		}
	}
	stop(t, p)
	wantLimits(t, "after it stopped", l.client, 8, 4)
}

// TestAfterACrash kills a controller, and lets the next one clean up: one that
// has the same paths, and then what the host had before.
func TestAfterACrash(t *testing.T) {
	for _, role := range []string{"client", "concentrator"} {
		t.Run(role, func(t *testing.T) {
			l := newLab(t)
			pm, first := l.client, mptcppm.FirstClientID
			env := envAnnounce + "=" // for the concentrator
			if role == "concentrator" {
				pm, first = l.concentrator, mptcppm.FirstConcentratorID
				env += l.Concentrator4.String()
			}
			must(t, pm.SetLimits(testContext(t), mptcppm.Limits{Subflows: 1, AddAddrAccepted: 0}))
			foreign := mptcppm.Endpoint{ID: 9, Addr: netip.MustParseAddr("203.0.113.77"), Flags: mptcppm.FlagSignal}
			must(t, pm.AddEndpoint(testContext(t), foreign))

			p := l.start(t, role, env)
			must(t, p.Kill())
			during, raised := endpoints(t, pm), limits(t, pm)
			if len(during) < 2 || raised.Subflows == 1 {
				t.Fatalf("the crash left %v and %+v: nothing to clean up", during, raised)
			}
			// Another program's, with the number behind ours that the kernel gives it.
			other := mptcppm.Endpoint{Addr: netip.MustParseAddr("203.0.113.78"), Flags: mptcppm.FlagSignal}
			must(t, pm.AddEndpoint(testContext(t), other))
			all := endpoints(t, pm)
			if other = all[len(all)-1]; !mptcppm.InRange(other.ID, first) {
				t.Fatalf("the kernel gave another program's endpoint an id out of our range: %v", other)
			}

			p = l.start(t, role, env)
			waitFor(t, p, "an earlier run ended without putting the MPTCP limits back")
			wantSame(t, "endpoints of the next run", append(during, other), endpoints(t, pm))
			wantSame(t, "limits of the next run", raised, limits(t, pm))
			stop(t, p)
			wantEndpoints(t, "after it stopped", pm, foreign, other)
			wantLimits(t, "after it stopped", pm, 1, 0)
			if left, _ := filepath.Glob(filepath.Join(l.state, "*")); len(left) != 0 {
				t.Errorf("files left: %v", left)
			}
		})
	}
}

func TestConcentratorAnnouncesAndRestores(t *testing.T) {
	l := newLab(t)
	p := l.start(t, "concentrator", envAnnounce+"="+l.Concentrator4.String()+","+l.Concentrator6.String())
	wantEndpoints(t, "while it runs", l.concentrator,
		mptcppm.Endpoint{ID: mptcppm.FirstConcentratorID, Addr: l.Concentrator4, Flags: mptcppm.FlagSignal},
		mptcppm.Endpoint{ID: mptcppm.FirstConcentratorID + 1, Addr: l.Concentrator6, Flags: mptcppm.FlagSignal})
	wantLimits(t, "while it runs", l.concentrator, mptcppm.MaxEndpoints, 0)
	stop(t, p)
	wantEndpoints(t, "after it stopped", l.concentrator)
	wantLimits(t, "after it stopped", l.concentrator, 2, 0)
}

// TestBothRolesInOneNamespace: neither takes the other's endpoints for its own.
func TestBothRolesInOneNamespace(t *testing.T) {
	l := newLab(t)
	client := l.start(t, "client")
	signal := mptcppm.Endpoint{ID: mptcppm.FirstConcentratorID, Addr: netip.MustParseAddr("203.0.113.77"), Flags: mptcppm.FlagSignal}
	must(t, l.client.AddEndpoint(testContext(t), signal))
	stop(t, client)
	wantEndpoints(t, "after the client stopped", l.client, signal)
}

func wantSame(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
