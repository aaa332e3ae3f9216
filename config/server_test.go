package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/config/configtest"
	"mpproxy/config/credential"
	"mpproxy/config/joinlink"
	"mpproxy/config/tomlfile"
	"mpproxy/proxy/rules"
)

const fullServer = `
listen = [":443", "192.0.2.1:8443"]
public = "[2001:db8::1]:443"
security = "tls"
certificate = "tls/cert.pem"
key = "/etc/ssl/key.pem"
users = "../users.toml"
token_key = "k"
mode = "single"

[destinations]
ports = [443, "1024-65535"]
allow = ["10.0.0.0/8", "fd00::1"]
deny = ["198.51.100.0/24"]

[limits]
max_connections = 100
max_connections_per_user = 0
max_subflows = 4
max_unauthenticated = 50
max_unauthenticated_per_source = 5
source_prefix_ipv4 = 24
source_prefix_ipv6 = 48
connect_timeout = "5s"
auth_failure_delay = "0"
receive_buffer = "0"

[announce]
addresses = ["192.0.2.1", "2001:db8::1"]

[log]
level = "warn"
`

func TestParseServer(t *testing.T) {
	got, err := ParseServer([]byte(fullServer), "/etc/mpproxy/server.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultServer()
	want.Listen = []netip.AddrPort{netip.MustParseAddrPort("[::]:443"), netip.MustParseAddrPort("192.0.2.1:8443")}
	want.Public = joinlink.HostPort{Host: "2001:db8::1", Port: 443}
	want.Certificate, want.Key = "/etc/mpproxy/tls/cert.pem", "/etc/ssl/key.pem"
	want.Users, want.TokenKey = "/etc/users.toml", "/etc/mpproxy/k"
	want.Mode = "single"
	want.Destinations.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::1/128")}
	want.Destinations.Ports = []rules.PortRange{{First: 443, Last: 443}, {First: 1024, Last: 65535}}
	want.Destinations.Deny = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	want.Limits.Strangers = Strangers{4, 50, 5, 24, 48}
	want.Limits.MaxConnections, want.Limits.MaxConnectionsPerUser = 100, 0
	want.Limits.ConnectTimeout, want.Limits.AuthFailureDelay = 5*time.Second, 0
	want.Limits.ReceiveBuffer = 0
	want.Announce = Announce{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}}
	want.Log.Level = 4
	if diff := cmp.Diff(want, got, equal); diff != "" {
		t.Error(diff)
	}
	again, err := ParseServer(got.encode(), "elsewhere.toml")
	if diff := cmp.Diff(got, again, equal); diff != "" || err != nil {
		t.Errorf("printed and parsed again: %v\n%s", err, diff)
	}
}

func TestServerMistakes(t *testing.T) {
	parse := func(b []byte, f string) error { _, err := ParseServer(b, f); return err }
	configtest.Refuses(t, parse, serverMistakes)
}

func TestServerWarnings(t *testing.T) {
	s, err := ParseServer([]byte("security = \"none\"\nlisten = [\"127.0.0.1:1\", \"192.0.2.1:1\"]\nkey = \"k\"\n"), "s.toml")
	want := []string{
		`certificate and key have no effect with security = "none"`,
		`192.0.2.1:1 is reached without TLS: who is on the way reads tokens and traffic; use security = "none" on private access networks only`,
	}
	if diff := cmp.Diff(want, s.Warnings); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestAnnounce(t *testing.T) {
	for text, want := range map[string]Announce{
		`"auto"`: {Auto: true}, `"none"`: {}, `[]`: {}, ``: {Auto: true},
		`["192.0.2.1"]`: {Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
	} {
		line := ""
		if text != "" {
			line = "[announce]\naddresses = " + text
		}
		s, err := ParseServer([]byte(line), "s.toml")
		if diff := cmp.Diff(want, s.Announce, equal); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", text, err, diff)
		}
	}
}

func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	s, err := ParseServer(ServerTOML(ServerInit{}), filepath.Join(dir, "server.toml"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.CheckFiles()
	if n := strings.Count(err.Error(), "no such file"); n != 4 {
		t.Errorf("%d of 4 missing files are reported:\n%v", n, err)
	}
	for _, f := range []string{s.Certificate, s.Key, s.Users, s.TokenKey} {
		if err := tomlfile.WritePrivate(f, nil); err != nil {
			t.Fatal(err)
		}
		if f == s.Key || f == s.Certificate {
			if err := os.Chmod(f, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	warnings, err := s.CheckFiles()
	if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], s.Key) {
		t.Errorf("%v, warnings %q: want one, about the key", err, warnings)
	}
}

func TestLoadServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "server.toml")
	if _, err := LoadServer(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if err := tomlfile.WritePrivate(file, []byte(fullServer)); err != nil {
		t.Fatal(err)
	}
	s, err := LoadServer(file)
	if err != nil || s.TokenKey != filepath.Join(filepath.Dir(file), "k") {
		t.Errorf("%v, token key %s", err, s.TokenKey)
	}
}

func TestServerLink(t *testing.T) {
	s := DefaultServer()
	if _, err := s.Link("alice", credential.NewSecret("t"), configtest.PinBytes, ""); err == nil || !strings.HasPrefix(err.Error(), "public: is not set") {
		t.Errorf("without public: %v", err)
	}
	s.Public = joinlink.HostPort{Host: "2001:db8::1", Port: 8443}
	l, err := s.Link("alice", credential.NewSecret("t"), configtest.PinBytes, "my home")
	if want := "mpproxy://alice:t@[2001:db8::1]:8443?pin=" + configtest.Pin + "#my%20home"; err != nil || l.URL() != want {
		t.Errorf("%s, %v, want %s", l.URL(), err, want)
	}
	s.Security = joinlink.SecurityNone
	l, err = s.Link("alice", credential.NewSecret("t"), configtest.PinBytes, "")
	if want := "mpproxy://alice:t@[2001:db8::1]:8443?security=none"; err != nil || l.URL() != want {
		t.Errorf("%s, %v, want %s", l.URL(), err, want)
	}
	if _, err := s.Link("a+b", credential.NewSecret("t"), configtest.PinBytes, ""); err == nil {
		t.Error("a user name with '+' was accepted")
	}
}
