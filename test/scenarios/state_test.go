package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/pathctl/mptcppm"
	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

// hostState is what a program of ours may change on a host, as text: rules,
// routes of all tables, endpoints, limits and sysctls.
func hostState(t *testing.T, h *netns.Host) []string {
	t.Helper()
	ipv6Settled(t, h)
	var state []string
	add := func(kind string, v any) { state = append(state, fmt.Sprintf("%s %v", kind, v)) }
	err := h.Do(t.Context(), func() error {
		return errors.Join(rulesAndRoutes(add), endpointsAndLimits(t.Context(), add))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"net.ipv4.conf.all.rp_filter", "net.ipv4.ip_forward", "net.mptcp.enabled", "net.mptcp.pm_type", "net.mptcp.path_manager", "net.ipv4.tcp_wmem", "net.ipv4.tcp_congestion_control"} {
		if value, err := h.Sysctl(t.Context(), name); err == nil {
			add(name, value)
		}
	}
	slices.Sort(state)
	return state
}

// ipv6Settled waits until the kernel has made the routes of a host's own IPv6
// addresses, which it does some time after they were set (addrconf_dad_work).
func ipv6Settled(t *testing.T, h *netns.Host) {
	t.Helper()
	eventually(t, "local routes", func() (missing string) {
		err := h.Do(t.Context(), func() error {
			addrs, err := netlink.AddrList(nil, netlink.FAMILY_V6)
			if err != nil {
				return err
			}
			local := &netlink.Route{Table: unix.RT_TABLE_LOCAL}
			routes, err := netlink.RouteListFiltered(netlink.FAMILY_V6, local, netlink.RT_FILTER_TABLE)
			for _, a := range addrs {
				leads := func(r netlink.Route) bool { return r.Dst != nil && r.Dst.IP.Equal(a.IP) }
				if !slices.ContainsFunc(routes, leads) {
					missing = fmt.Sprintf("none to %s", a.IP)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return missing
	})
}

func rulesAndRoutes(add func(string, any)) error {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		rules, err := netlink.RuleList(family)
		if err != nil {
			return err
		}
		for _, r := range rules {
			add("rule", r)
		}
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return err
		}
		for _, r := range routes {
			// The kernel's own, which come and go with duplicate address detection.
			if r.Dst == nil || !r.Dst.IP.IsLinkLocalUnicast() && !r.Dst.IP.IsMulticast() {
				add("route", r)
			}
		}
	}
	return nil
}

func endpointsAndLimits(ctx context.Context, add func(string, any)) error {
	pm, err := mptcppm.Dial(nil)
	if err != nil {
		return err
	}
	endpoints, err := pm.Endpoints(ctx)
	for _, e := range endpoints {
		add("endpoint", e)
	}
	limits, lerr := pm.Limits(ctx)
	add("limits", limits)
	return errors.Join(err, lerr, pm.Close())
}

func TestHostStateIsPutBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		manager              string
		client, concentrator []string // kinds of what must be seen to change
	}{
		{"userspace", []string{"rule", "route", "net.mptcp.pm_type", "net.ipv4.tcp_wmem"}, []string{"net.mptcp.pm_type", "net.ipv4.tcp_wmem"}},
		{"kernel", []string{"rule", "route", "endpoint", "limits"}, []string{"endpoint", "limits"}},
	} {
		t.Run(tt.manager, func(t *testing.T) {
			t.Parallel()
			var concentrator []string
			cfg := managedBy(tt.manager, rig.Config{
				// Three paths need more subflows than the kernel allows by default.
				Links: append(clientLinks(), netns.LinkConfig{Name: "wifi0"}), NoClient: true,
				EditServer: with(`announce.addresses = ["203.0.113.1", "2001:db8:100::1"]`),
				Prepare: func(ctx context.Context, topo *netns.Topology) error {
					concentrator = hostState(t, topo.Concentrator)
					return nil
				},
			})
			r := start(t, cfg)
			if err := r.Join(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Run("client", func(t *testing.T) {
				putBack(t, r.Client, hostState(t, r.Client), tt.client, func() *netns.Process {
					if err := r.StartClient(t.Context()); err != nil {
						t.Fatal(err)
					}
					works(t, r)
					return r.ClientDaemon
				})
			})
			t.Run("concentrator", func(t *testing.T) {
				if err := r.Server.Stop(patient(t)); err != nil {
					t.Fatal(err)
				}
				putBack(t, r.Concentrator, concentrator, tt.concentrator, func() *netns.Process {
					if err := r.RunServer(t.Context()); err != nil {
						t.Fatal(err)
					}
					return r.Server
				})
			})
		})
	}
}

// putBack runs a program twice, and kills it the first time: what it changed
// must be there then, so that the test sees something, and be gone after the
// second.
func putBack(t *testing.T, h *netns.Host, before, kinds []string, run func() *netns.Process) {
	t.Helper()
	if diff := cmp.Diff(before, hostState(t, h)); diff != "" {
		t.Fatalf("before the start:\n%s", diff)
	}
	stop := func(p *netns.Process) {
		t.Helper()
		if err := p.Stop(patient(t)); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	p := run()
	changed(t, before, hostState(t, h), kinds)
	stop(p)
	if diff := cmp.Diff(before, hostState(t, h)); diff != "" {
		t.Errorf("after a normal stop:\n%s", diff)
	}

	p = run()
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	changed(t, before, hostState(t, h), kinds)
	stop(run())
	if diff := cmp.Diff(before, hostState(t, h)); diff != "" {
		t.Errorf("after a kill, a start and a stop:\n%s", diff)
	}
}

// changed wants something of each kind that was not there before.
func changed(t *testing.T, before, now, kinds []string) {
	t.Helper()
	for _, kind := range kinds {
		isNew := func(s string) bool { return strings.HasPrefix(s, kind+" ") && !slices.Contains(before, s) }
		if !slices.ContainsFunc(now, isNew) {
			t.Errorf("the running program has made no %s: %q", kind, now)
		}
	}
}

// TestSecondClientFails: a client that is started by mistake while another one
// runs says so, and takes nothing away from the one that runs.
func TestSecondClientFails(t *testing.T) {
	t.Parallel()
	links := append(clientLinks(), netns.LinkConfig{Name: "wifi0"})
	r := start(t, rig.Config{Links: links})
	running := hostState(t, r.Client)
	complains(t, r.Client, "", []string{"another"}, r.ClientBinary(), "run", "--config", r.ClientConfig())
	if diff := cmp.Diff(running, hostState(t, r.Client)); diff != "" {
		t.Errorf("the failed start changed what the running client had set up:\n%s", diff)
	}
	works(t, r)
}
