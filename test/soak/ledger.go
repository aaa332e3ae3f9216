package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/vishvananda/netlink"

	"mpproxy/test/netns"
)

// entry is one thing that is counted.
type entry struct {
	name string
	n    int64
	// slack is how much more there may be at the end: what comes and goes by itself.
	slack int64
}

// ledger is what is there at a time.
type ledger []entry

func (l ledger) empty() bool { return len(l) == 0 }

// count reads everything.
func (s *soak) count(ctx context.Context) (ledger, error) {
	var l ledger
	for _, p := range []struct {
		name    string
		host    *netns.Host
		process *netns.Process
	}{{"client", s.rig.Client, s.rig.ClientDaemon}, {"concentrator", s.rig.Concentrator, s.rig.Server}} {
		u, err := p.process.Usage()
		if err != nil {
			return nil, err
		}
		goroutines, err := metric(ctx, p.host, "go_goroutines")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		connections, err := metric(ctx, p.host, "mpproxy_connections")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		subflows, err := metric(ctx, p.host, "mpproxy_subflows")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		l = append(
			l,
			// A scrape is a connection of its own.
			entry{p.name + ", descriptors", int64(u.Descriptors), 4},
			entry{p.name + ", goroutines", goroutines, 6},
			entry{p.name + ", connections", connections, 0},
			entry{p.name + ", subflows", subflows, 0},
			// The Go runtime returns memory late; what leaks in an hour is more.
			entry{p.name + ", memory, KiB", int64(u.Resident >> 10), 16 << 10},
		)
	}
	err := s.rig.Client.Do(ctx, func() error {
		rules, err := netlink.RuleList(netlink.FAMILY_ALL)
		if err != nil {
			return fmt.Errorf("listing rules: %w", err)
		}
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return fmt.Errorf("listing routes: %w", err)
		}
		l = append(l, entry{"client's host, rules", int64(len(rules)), 0}, entry{"client's host, routes", int64(len(routes)), 0})
		return nil
	})
	return l, err
}

// metric returns the sum of a metric over its labels, as its program shows it.
func metric(ctx context.Context, h *netns.Host, name string) (sum int64, err error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return h.DialContext(ctx, network, addr)
	}, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+adminAddr+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return 0, fmt.Errorf("reading the metrics: %w", err)
	}
	for _, m := range families[name].GetMetric() {
		sum += int64(m.GetGauge().GetValue())
	}
	return sum, nil
}

// grownSince names what is more than it was.
func (l ledger) grownSince(before ledger) (names []string) {
	for i, e := range before {
		if l[i].n > e.n+e.slack {
			names = append(names, fmt.Sprintf("%s: %d, was %d", e.name, l[i].n, e.n))
		}
	}
	return names
}

// compare prints two ledgers side by side.
func compare(before, after ledger) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %-32s %10s %10s\n", "", "begin", "end")
	for i, e := range before {
		fmt.Fprintf(&b, "  %-32s %10d %10d\n", e.name, e.n, after[i].n)
	}
	return b.String()
}
