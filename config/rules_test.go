package config

import (
	"net/netip"
	"strings"
	"testing"

	"mpproxy/config/configtest"
	"mpproxy/config/credential"
	"mpproxy/config/joinlink"
	"mpproxy/proxy/rules"

	"github.com/google/go-cmp/cmp"
)

const someRules = `
[socks]
listen = ["127.0.0.1:1080", "0.0.0.0:1081"]
allow_open = true
[[path]]
interface = "wlan*"
name = "wifi"
[[path]]
interface = "ww*"
[modes.calls]
base = "interactive"
[[rule]]
ports = [22, "5060-5061"]
mode = "calls"
enforce = true
[[rule]]
name = "bulk"
hosts = ["example.com", ".example.org"]
cidrs = ["192.0.2.0/24", "2001:db8::1"]
paths = ["wwan0", "wifi", "wifi-wlan1"]
[[rule]]
listeners = [":1081", "192.168.1.1:1081"]
users = ["torrent"]
mode = "single"
`

func TestRules(t *testing.T) {
	c, err := ParseClient([]byte(someRules), "f.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := rules.Rules{
		{Name: "rule 1", Ports: []rules.PortRange{{First: 22, Last: 22}, {First: 5060, Last: 5061}}, Mode: "calls", Enforce: true},
		{
			Name: "bulk", Hosts: []string{"example.com", ".example.org"},
			CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")},
			Paths: []string{"wwan0", "wifi", "wifi-wlan1"},
		},
		{
			Name: "rule 3", Listeners: []netip.AddrPort{netip.MustParseAddrPort("[::]:1081"), netip.MustParseAddrPort("192.168.1.1:1081")},
			Users: []string{"torrent"}, Mode: "single",
		},
	}
	if diff := cmp.Diff(want, c.Rules, equal); diff != "" {
		t.Error(diff)
	}
	again, err := ParseClient(c.encode(joinlink.Link.URL, credential.Secret.Reveal), "f.toml")
	if diff := cmp.Diff(c, again, equal); diff != "" || err != nil {
		t.Errorf("printed and parsed again: %v\n%s", err, diff)
	}
}

func TestRuleWarnings(t *testing.T) {
	const all = "[[rule]]\nmode = \"single\"\n"
	const some = "[[rule]]\nports = [1]\nmode = \"single\"\n"
	const reached = "rule 1 has no condition and holds for every connection: the 2 behind it are never reached"
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"path_manager = \"userspace\"\n" + some + all, nil},
		{"path_manager = \"userspace\"\n" + all + some + all, []string{reached}},
		{"path_manager = \"kernel\"\n" + some, []string{RulesUnderKernel}},
	} {
		c, err := ParseClient([]byte(tt.text), "f.toml")
		if diff := cmp.Diff(tt.want, c.Warnings, equal); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", tt.text, err, diff)
		}
	}
}

// Flags may take away a path that a rule names; a rule that would let nothing
// through must not go unnoticed.
func TestRulePathsAfterFlags(t *testing.T) {
	c, err := ParseClient([]byte(someRules), "f.toml")
	if err != nil {
		t.Fatal(err)
	}
	c.Link = mustLink(t, configtest.Link)
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.Paths = []Path{{Interface: "eth0", Rank: 1}}
	want := []string{
		`rule.paths: bulk: there is no path "wwan0": the paths are "eth0"`,
		`rule.paths: bulk: there is no path "wifi": the paths are "eth0"`,
		`rule.paths: bulk: there is no path "wifi-wlan1": the paths are "eth0"`,
	}
	err = c.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
}
