package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/config/configtest"
	"mpproxy/config/credential"
	"mpproxy/config/tomlfile"
)

const fullClient = `
link = "mpproxy://alice:Tok-en_1@proxy.example.net:8443?pin=` + configtest.Pin + `#home"
mode = "handover"
path_manager = "kernel"
require_mptcp = true
early_answer = false

[socks]
listen = ["127.0.0.1:1080", "[::]:1080"]
handshake_timeout = "2500ms"

[[socks.user]]
name = "bob"
password = "pass\"word"

[[path]]
interface = "wlan*"
name = "wifi"
min_signal = "-75dBm"

[[path]]
interface = "wwan0"
name = "lte"
rank = 7
metered = true

[limits]
max_connections = 500
idle_timeout = "0"
receive_buffer = "1MiB"

[admin]
socket = "client.sock"
http = "127.0.0.1:9480"

[log]
level = "debug"
format = "json"
`

const fullClientPrinted = `link = "mpproxy://alice:REDACTED@proxy.example.net:8443?pin=` + configtest.Pin + `#home"
mode = "handover"
path_manager = "kernel"
require_mptcp = true
early_answer = false

[socks]
listen = ["127.0.0.1:1080", "[::]:1080"]
allow_open = false
ask = true
handshake_timeout = "2.5s"

[[socks.user]]
name = "bob"
password = "REDACTED"

[[path]]
interface = "wlan*"
name = "wifi"
rank = 1
metered = false
min_signal = "-75dBm"

[[path]]
interface = "wwan0"
name = "lte"
rank = 7
metered = true

[limits]
max_connections = 500
connect_timeout = "20s"
idle_timeout = "0"
max_lifetime = "0"
half_close_timeout = "5m"
drain_timeout = "5s"
receive_buffer = "1MiB"
idle_legs = 32

[admin]
socket = "/etc/mpproxy/client.sock"
http = "127.0.0.1:9480"

[log]
level = "debug"
format = "json"
`

func TestParseClient(t *testing.T) {
	c, err := ParseClient([]byte(fullClient), "/etc/mpproxy/client.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultClient()
	want.Link = mustLink(t, "mpproxy://alice:Tok-en_1@proxy.example.net:8443?pin="+configtest.Pin+"#home")
	want.Mode, want.PathManager = "handover", PathManagerKernel
	want.RequireMPTCP, want.EarlyAnswer = true, false
	want.Socks.Listen = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1080"), netip.MustParseAddrPort("[::]:1080")}
	want.Socks.HandshakeTimeout = 2500 * time.Millisecond
	want.Socks.Users = []SocksUser{{"bob", credential.NewSecret(`pass"word`)}}
	want.Paths = []Path{
		{Interface: "wlan*", Name: "wifi", Rank: 1, MinSignal: -75},
		{Interface: "wwan0", Name: "lte", Rank: 7, Metered: true},
	}
	want.Limits.MaxConnections = 500
	want.Limits.IdleTimeout = 0
	want.Limits.ReceiveBuffer = tomlfile.MiB
	want.Admin.Socket = "/etc/mpproxy/client.sock"
	want.Admin.HTTP = netip.MustParseAddrPort("127.0.0.1:9480")
	want.Log.Level, want.Log.Format = -4, LogJSON
	if diff := cmp.Diff(want, c, equal); diff != "" {
		t.Error(diff)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestClientMistakes(t *testing.T) {
	parse := func(b []byte, f string) error { _, err := ParseClient(b, f); return err }
	configtest.Refuses(t, parse, slices.Concat(textMistakes, clientMistakes))
}

func TestValidate(t *testing.T) {
	c := DefaultClient()
	c.Socks.Listen = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:1080")}
	want := []string{
		"link: there is none: run `mpproxy-client join` once, set link = \"mpproxy://…\" in the file, or give --link",
		`socks.listen: "0.0.0.0:1080" is open to other hosts and there are no users: add [[socks.user]] with name and password, or say allow_open = true below [socks] if everybody who reaches it may use it`,
	}
	if diff := cmp.Diff(want, strings.Split(c.Validate().Error(), "\n")); diff != "" {
		t.Error(diff)
	}
	c.Link = mustLink(t, configtest.Link)
	c.Socks.AllowOpen = true
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestSocketPath(t *testing.T) {
	long := "/" + strings.Repeat("x", 100)
	for _, tt := range []struct {
		name, configured string
		uid              int
		runtimeDir, want string
	}{
		{"root", "", 0, "/run/user/0", "/run/mpproxy/client.sock"},
		{"user", "", 1000, "/run/user/1000", "/run/user/1000/mpproxy/client.sock"},
		{"without runtime dir", "", 1000, "", "/tmp/mpproxy-1000/client.sock"},
		{"relative runtime dir", "", 1000, "run", "/tmp/mpproxy-1000/client.sock"},
		{"runtime dir too long", "", 1000, long, "/tmp/mpproxy-1000/client.sock"},
		{"configured", "/srv/x.sock", 1000, "/run/user/1000", "/srv/x.sock"},
	} {
		env := func(k string) string { return map[string]string{"XDG_RUNTIME_DIR": tt.runtimeDir}[k] }
		if got := (Admin{Socket: tt.configured}).SocketPath(tt.uid, env); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestDefaultClientPath(t *testing.T) {
	for _, tt := range []struct {
		uid             int
		xdg, home, want string
	}{
		{0, "/x", "/root", "/etc/mpproxy/client.toml"},
		{7, "/x", "/home/a", "/x/mpproxy/client.toml"},
		{7, "x", "/home/a", "/home/a/.config/mpproxy/client.toml"},
		{7, "", "", ""},
	} {
		env := func(k string) string { return map[string]string{"XDG_CONFIG_HOME": tt.xdg, "HOME": tt.home}[k] }
		if got := DefaultClientPath(tt.uid, env); got != tt.want {
			t.Errorf("%+v: got %s", tt, got)
		}
	}
}

func TestParsePath(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Path
		err  string
	}{
		{"wwan0:metered", Path{Interface: "wwan0", Metered: true}, ""},
		{"eth*", Path{Interface: "eth*"}, ""},
		{"wwan0:meter", Path{}, `path "wwan0:meter": "meter" is not known behind the colon: write INTERFACE or INTERFACE:metered`},
		{"", Path{}, `path: "" cannot match an interface: interface names have 1 to 15 characters without '/', ':' and space`},
	} {
		got, err := ParsePath(tt.in)
		if got != tt.want || (err != nil) != (tt.err != "") || err != nil && err.Error() != tt.err {
			t.Errorf("%q: got %+v, %v", tt.in, got, err)
		}
	}
}

func TestLoadClient(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "client.toml")
	if _, err := LoadClient(file); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "cannot read "+file) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := LoadClient(dir); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("directory: %v", err)
	}
	if err := tomlfile.WritePrivate(file, ClientTOML(mustLink(t, configtest.Link))); err != nil {
		t.Fatal(err)
	}
	c, err := LoadClient(file)
	if err != nil || len(c.Warnings) != 0 {
		t.Errorf("%v, warnings %q", err, c.Warnings)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	c, err = LoadClient(file)
	want := []string{file + " holds secrets and can be read by other users (mode 0644): chmod 600 " + file}
	if diff := cmp.Diff(want, c.Warnings); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if err := os.WriteFile(file, make([]byte, maxConfigFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadClient(file); err == nil || !strings.Contains(err.Error(), "is larger than 256KiB") {
		t.Errorf("oversized: %v", err)
	}
}
