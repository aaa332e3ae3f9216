package rules

import (
	"net/netip"
	"strings"
	"testing"

	"mpproxy/proxy"
)

func TestMatch(t *testing.T) {
	rules := Rules{
		{Ports: []PortRange{{22, 22}, {5222, 5223}}, Mode: "handover"},
		{Hosts: []string{"example.com", "*.example.org"}, CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}, Mode: "lazy"},
		{Listeners: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:1081")}, Users: []string{"bob"}, Mode: "single"},
		{Users: []string{"alice"}, Paths: []string{"lte", "wifi"}},
	}
	host := func(h string, port uint16) proxy.Destination { return proxy.Destination{Name: h, Port: port} }
	addr := func(a string, port uint16) proxy.Destination {
		return proxy.Destination{Addr: netip.MustParseAddr(a), Port: port}
	}
	const main, second = "127.0.0.1:1080", "127.0.0.1:1081"
	for _, tt := range []struct {
		name         string
		to           proxy.Destination
		listen, user string
		want         int // number of the rule, from 1; 0 none
	}{
		{"port", host("a.test", 22), main, "", 1},
		{"range", host("a.test", 5223), main, "", 1},
		{"above the range", host("a.test", 5224), main, "", 0},
		{"first wins", host("example.com", 22), main, "alice", 1},
		{"host", host("example.com", 80), main, "", 2},
		{"case and root dot", host("WWW.Example.COM.", 80), main, "", 2},
		{"star", host("a.b.example.org", 80), main, "", 2},
		{"only the end is the same", host("badexample.com", 80), main, "", 0},
		{"shorter than the rule", host("com", 80), main, "", 0},
		{"no host", host("", 80), main, "", 0},
		{"IPv4", addr("192.0.2.7", 80), main, "", 2},
		{"IPv4 in IPv6", addr("::ffff:192.0.2.7", 80), main, "", 2},
		{"IPv4 as a name", host("192.0.2.7", 80), main, "", 2},
		{"IPv6 with a zone", addr("2001:db8::1%eth0", 80), main, "", 2},
		{"another address", addr("198.51.100.7", 80), main, "", 0},
		{"listener and user", host("a.test", 80), second, "bob", 3},
		{"user at another listener", host("a.test", 80), main, "bob", 0},
		{"listener, another user", host("a.test", 80), second, "carol", 0},
		{"user", host("a.test", 80), main, "alice", 4},
		{"user names have a case", host("a.test", 80), main, "Alice", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := rules.Match(tt.to, netip.MustParseAddrPort(tt.listen), tt.user)
			switch {
			case ok != (tt.want > 0):
				t.Errorf("matched %v: %+v", ok, got)
			case ok && (got.Mode != rules[tt.want-1].Mode || len(got.Paths) != len(rules[tt.want-1].Paths)):
				t.Errorf("got %+v, want rule %d", got, tt.want)
			}
		})
	}
	if _, ok := (Rules{{Mode: "lazy"}}).Match(host("a.test", 1), netip.AddrPort{}, ""); !ok {
		t.Error("a rule without conditions does not hold")
	}
}

func TestRuleValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		rule Rule
		err  string
	}{
		{"good", Rule{Ports: []PortRange{{1, 65535}}, Hosts: []string{".example.com"}, Mode: "lazy", Paths: []string{"lte"}}, ""},
		{"port 0", Rule{Ports: []PortRange{{0, 1}}}, "ports 0-1"},
		{"upside down", Rule{Ports: []PortRange{{9, 1}}}, "the lower one first"},
		{"host with a star inside", Rule{Hosts: []string{"a.*.com"}}, "host"},
		{"empty host", Rule{Hosts: []string{"*."}}, "host"},
		{"bits behind the prefix", Rule{CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}}, "CIDR"},
		{"mode", Rule{Mode: "fast"}, `mode "fast" does not exist`},
		{"path", Rule{Paths: []string{"sat"}}, `path "sat" does not exist`},
		{"path twice", Rule{Paths: []string{"lte", "lte"}}, "named twice"},
	} {
		err := tt.rule.Validate([]string{"handover", "lazy", "single"}, []string{"wifi", "lte"})
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
		}
	}
}
