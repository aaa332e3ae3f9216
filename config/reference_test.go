package config

import (
	"bytes"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mpproxy/config/configtest"
	"mpproxy/config/credential"
	"mpproxy/config/joinlink"
	"mpproxy/config/tomlfile"
	"mpproxy/pathctl/policy"
)

// equal compares configurations; nil and empty lists are the same.
var equal = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}, credential.Secret{}),
}

func TestReferencesEqualDefaults(t *testing.T) {
	c, err := ParseClient([]byte(ReferenceClient()), "client.toml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(DefaultClient(), c, equal); diff != "" {
		t.Errorf("the client's reference differs from the defaults (-default +reference):\n%s", diff)
	}
	s, err := ParseServer([]byte(ReferenceServer()), "server.toml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(DefaultServer(), s, equal); diff != "" {
		t.Errorf("the server's reference differs from the defaults (-default +reference):\n%s", diff)
	}
}

func TestEmptyFilesAreDefaults(t *testing.T) {
	c, err := ParseClient(nil, "client.toml")
	if diff := cmp.Diff(DefaultClient(), c, equal); diff != "" || err != nil {
		t.Errorf("client: %v\n%s", err, diff)
	}
	s, err := ParseServer(nil, "server.toml")
	if diff := cmp.Diff(DefaultServer(), s, equal); diff != "" || err != nil {
		t.Errorf("server: %v\n%s", err, diff)
	}
}

// Each key of the schema stands in its reference, as a default or an example,
// exactly once; nothing else does.
func TestReferencesHaveEveryKey(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		raw        any
	}{
		{"client", ReferenceClient(), rawClient{}},
		{"server", ReferenceServer(), rawServer{}},
	} {
		want := []string{}
		tomlfile.EachKey(reflect.TypeOf(tt.raw), "", func(key string, isLeaf bool) {
			if isLeaf {
				want = append(want, key)
			}
		})
		got, table := []string{}, ""
		for line := range strings.Lines(tt.text) {
			if m := regexp.MustCompile(`^#?\[+([a-z.]+)\]+\n$`).FindStringSubmatch(line); m != nil {
				table = regexp.MustCompile(`^modes\..*`).ReplaceAllString(m[1], "modes.NAME")
			} else if m := regexp.MustCompile(`^#?([a-z_0-9]+) = `).FindStringSubmatch(line); m != nil {
				if key := joinTable(table, m[1]); table != "modes.NAME" || !slices.Contains(got, key) { // many modes have it
					got = append(got, key)
				}
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
			t.Errorf("%s: keys of the schema and of the reference differ (-schema +reference):\n%s", tt.name, diff)
		}
	}
}

func joinTable(table, key string) string {
	if table == "" {
		return key
	}
	return table + "." + key
}

// The examples work when their # is removed.
func TestReferenceExamples(t *testing.T) {
	activate := regexp.MustCompile(`(?m)^#([a-z_]+ = |\[)`)
	text := activate.ReplaceAllString(ReferenceClient(), "$1")
	text = strings.Replace(text, "USER:TOKEN", "alice:secret", 1)
	text = strings.Replace(text, "BASE64URL_SHA256", strings.Repeat("A", 43), 1)
	c, err := ParseClient([]byte(text), "client.toml")
	if err != nil {
		t.Fatal(err)
	}
	if c.Link.User != "alice" || len(c.Socks.Users) != 1 || len(c.Paths) != 1 || len(c.Rules) != 1 || len(c.Modes) != len(policy.Modes())+1 {
		t.Errorf("examples were not all taken: %+v", c)
	}
	s, err := ParseServer([]byte(activate.ReplaceAllString(ReferenceServer(), "$1")), "server.toml")
	if err != nil || s.Public.Port != 8443 || len(s.Modes) != len(policy.Modes())+1 {
		t.Errorf("server: %+v, %v", s.Public, err)
	}
}

func TestClientTOML(t *testing.T) {
	link := mustLink(t, "mpproxy://alice:s%22ecret@[2001:db8::1]:8443?pin="+configtest.Pin+"#my%20home")
	text := ClientTOML(link)
	c, err := ParseClient(text, "client.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultClient()
	want.Link = link
	if diff := cmp.Diff(want, c, equal); diff != "" {
		t.Error(diff)
	}
	if active := activeKeys(text); len(active) != 1 {
		t.Errorf("only the link should be set, found %q", active)
	}
}

func TestServerTOML(t *testing.T) {
	base := DefaultServer()
	base.Public = joinlink.HostPort{Host: "proxy.example.net", Port: 443}
	plain := base
	plain.Security = joinlink.SecurityNone
	plain.Listen = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:443"), netip.MustParseAddrPort("[::1]:443")}
	for _, tt := range []struct {
		name   string
		init   ServerInit
		want   Server
		active []string
	}{
		{"tls", ServerInit{Public: base.Public}, base, []string{"listen", "public", "security", "certificate", "key", "users", "token_key"}},
		{"none", ServerInit{plain.Public, plain.Listen, joinlink.SecurityNone}, plain, []string{"listen", "public", "security", "users", "token_key"}},
	} {
		text := ServerTOML(tt.init)
		s, err := ParseServer(text, "server.toml")
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, s, equal); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if diff := cmp.Diff(tt.active, activeKeys(text)); diff != "" {
			t.Errorf("%s: keys that are set: %s", tt.name, diff)
		}
		if strings.Count(string(text), "\n") != strings.Count(referenceServer, "\n") {
			t.Errorf("%s: lines of the reference were lost", tt.name)
		}
	}
}

func activeKeys(text []byte) (keys []string) {
	for _, m := range regexp.MustCompile(`(?m)^([a-z_]+) = `).FindAllSubmatch(text, -1) {
		keys = append(keys, string(m[1]))
	}
	return keys
}

func TestPrintRedacts(t *testing.T) {
	c, err := ParseClient([]byte(fullClient), "/etc/mpproxy/client.toml")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fullClientPrinted, out.String()); diff != "" {
		t.Error(diff)
	}
}
