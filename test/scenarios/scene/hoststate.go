package scene

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/pathctl/mptcppm"
	"mpproxy/test/netns"
)

// HostState is what a program of ours may change on a host, as text: rules,
// routes of all tables, endpoints, limits and sysctls.
func HostState(t *testing.T, h *netns.Host) []string {
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
	for _, name := range []string{"net.ipv4.conf.all.rp_filter", "net.ipv4.ip_forward", "net.mptcp.enabled", "net.mptcp.pm_type", "net.mptcp.path_manager", "net.mptcp.blackhole_timeout", "net.ipv4.tcp_wmem", "net.ipv4.tcp_congestion_control"} {
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
	Eventually(t, "local routes", func() (missing string) {
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

// Changed wants something of each kind that was not there before.
func Changed(t *testing.T, before, now, kinds []string) {
	t.Helper()
	for _, kind := range kinds {
		isNew := func(s string) bool { return strings.HasPrefix(s, kind+" ") && !slices.Contains(before, s) }
		if !slices.ContainsFunc(now, isNew) {
			t.Errorf("the running program has made no %s: %q", kind, now)
		}
	}
}

// Unchanged wants what is said of each kind to be what it was before.
func Unchanged(t *testing.T, before, now []string, kinds ...string) {
	t.Helper()
	for _, kind := range kinds {
		other := func(s string) bool { return !strings.HasPrefix(s, kind+" ") }
		was, is := slices.DeleteFunc(slices.Clone(before), other), slices.DeleteFunc(slices.Clone(now), other)
		if len(was) == 0 || !slices.Equal(was, is) {
			t.Errorf("the running program has changed %s: %q, was %q", kind, is, was)
		}
	}
}
