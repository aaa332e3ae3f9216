package coexist

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
)

var (
	nm       = Process{400, "NetworkManager"}
	daemon   = Process{712, "mptcpd"}
	watcher  = Process{99, "ip"}
	nameless = Process{}
	endpoint = mptcppm.Endpoint{ID: 1, Addr: netip.MustParseAddr("192.0.2.2"), IfIndex: 3, Flags: mptcppm.FlagSubflow}
)

func TestNotices(t *testing.T) {
	for _, tt := range []struct {
		name  string
		facts Facts
		kinds []Kind
		say   []string // each is in what the first notice says
	}{
		{"nothing", Facts{}, nil, nil},
		{"we steer, as we made it so", Facts{Steering: true, Userspace: true}, nil, nil},
		{"an mpproxy-server steers beside us", Facts{Userspace: true}, nil, nil},
		{
			"endpoints, kernel",
			Facts{Endpoints: []mptcppm.Endpoint{endpoint}},
			[]Kind{KindEndpoints},
			[]string{"192.0.2.2 id 1", "leaves them alone", "mpproxy's as well", "ip mptcp endpoint delete id"},
		},
		{
			"endpoints of NetworkManager, steering",
			Facts{Steering: true, Userspace: true, Endpoints: []mptcppm.Endpoint{endpoint}, Programs: []Process{nm}},
			[]Kind{KindEndpoints},
			[]string{"NetworkManager (process 400)", "its own connections do not use them", "connection.mptcp-flags disabled"},
		},
		{
			"endpoints of either",
			Facts{Endpoints: []mptcppm.Endpoint{endpoint}, Programs: []Process{nm, daemon}},
			[]Kind{KindEndpoints},
			[]string{"NetworkManager (process 400) and mptcpd (process 712)", "nmcli", "systemctl disable --now mptcp.service"},
		},
		{
			"another one decides, too",
			Facts{Steering: true, Userspace: true, Before: true, Listeners: []Process{daemon}},
			[]Kind{KindDecider},
			[]string{"in user space already", "mptcpd (process 712)", "its own connections only", "systemctl disable"},
		},
		{
			"another one decides, we cannot",
			Facts{Userspace: true, Before: true, Listeners: []Process{nameless}},
			[]Kind{KindDecider},
			[]string{"a program that cannot be named", "no effect", `path_manager = "userspace"`},
		},
		{
			"somebody only watches",
			Facts{Steering: true, Userspace: true, Before: true, Listeners: []Process{watcher}},
			[]Kind{KindDecider},
			[]string{"nobody listened", "leaves it in user space when it stops"},
		},
		{
			"listeners where we took over do not matter", Facts{Steering: true, Userspace: true, Listeners: []Process{daemon}}, nil, nil,
		},
		{
			"in user space, and nobody is it",
			Facts{Userspace: true, Before: true},
			[]Kind{KindDecider},
			[]string{"no second subflow", "net.mptcp.path_manager=kernel"},
		},
		{
			"taken from us",
			Facts{Steering: true, Endpoints: []mptcppm.Endpoint{endpoint}},
			[]Kind{KindPathManager, KindEndpoints},
			[]string{"given the path manager back", "connections that begin now"},
		},
		{
			"strict filter",
			Facts{Strict: []string{"wwan0", "usb0"}},
			[]Kind{KindRPFilter, KindRPFilter},
			[]string{"rp_filter=1 (strict) on wwan0", "no harm", "net.ipv4.conf.wwan0.rp_filter=2"},
		},
		{
			"a rule into a tunnel",
			Facts{Rules: []netpath.Obstacle{{Rule: "5270: from all lookup 52", Owner: "Tailscale", Into: "tun0", Paths: "dsl0, lte0"}}},
			[]Kind{KindRule},
			[]string{"5270: from all lookup 52", "of Tailscale", "from dsl0, lte0", "leaves over tun0", "passes it by", "nothing has to be done"},
		},
		{
			"a rule that stops everything",
			Facts{Rules: []netpath.Obstacle{{Kind: netpath.Stops, Rule: "90: from all unreachable", Into: "unreachable", Paths: "dsl0"}}},
			[]Kind{KindBarrier},
			[]string{"90: from all unreachable", "nothing leaves there", "kill switch"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Notices(tt.facts)
			var kinds []Kind
			for _, n := range got {
				kinds = append(kinds, n.Kind)
				if n.What == "" || n.Effect == "" || n.Advice == "" {
					t.Errorf("incomplete: %+v", n)
				}
			}
			if diff := cmp.Diff(tt.kinds, kinds); diff != "" {
				t.Fatal(diff)
			}
			if len(got) == 0 {
				return
			}
			text := got[0].String() + " → " + got[0].Advice
			for _, want := range tt.say {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in %q", want, text)
				}
			}
		})
	}
}
