package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/config/joinlink"
	"mpproxy/internal/clitest"
	"mpproxy/proxy"
)

func TestMain(m *testing.M) { clitest.Main(m, main) }

func call(t *testing.T, dir string, args ...string) clitest.Result {
	t.Helper()
	return clitest.Run(t, clitest.Call{Dir: dir, Args: args})
}

func TestHelpTeaches(t *testing.T) {
	call(t, "", "--help").Expect(t, 0, "mpproxy-server init --dir", "mpproxy-server run --config",
		"  init ", "  run ", "  user add ", "  user list ", "  user remove ", "  user link ", "  check-config ", "  print-config ", "  version ")
	for _, args := range [][]string{{"init"}, {"run"}, {"user", "add"}, {"user", "list"}, {"check-config"}, {"print-config"}} {
		call(t, "", append(args, "--help")...).Expect(t, 0, "Usage: mpproxy-server "+strings.Join(args, " "))
	}
}

func TestWrongCommandLines(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"nothing":         {nil, `"init", "run"`},
		"unknown command": {[]string{"start"}, "unexpected argument start"},
		"half a command":  {[]string{"user"}, `"list"`},
		"misspelt flag":   {[]string{"run", "--confg", "x"}, `did you mean "--config"?`},
		"no config":       {[]string{"run"}, "--config"},
		"no name":         {[]string{"user", "add", "--config", "x"}, "<name>"},
		"no public":       {[]string{"init", "--dir", "x"}, "--public"},
		"no dir":          {[]string{"init", "--public", "proxy.example:1"}, "--dir"},
		"bad security":    {[]string{"init", "--dir", "x", "--public", "proxy.example:1", "--security", "some"}, `"tls"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, "", tt.args...)
			r.Expect(t, 2, tt.says, "Try 'mpproxy-server --help'.")
			if r.Stdout != "" {
				t.Errorf("standard output of a mistake: %q", r.Stdout)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	r := call(t, "", "version")
	r.Expect(t, 0, "mpproxy-server ", "go1.")
	if strings.Count(r.Stdout, "\n") != 1 {
		t.Errorf("version prints %q, want one line", r.Stdout)
	}
}

// initialized makes a server's files in a new directory.
func initialized(t *testing.T, args ...string) (dir string, link joinlink.Link) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "srv")
	r := call(t, "", append([]string{"init", "--dir", dir, "--public", "proxy.example:8443"}, args...)...)
	r.Expect(t, 0, "mpproxy-server run --config "+filepath.Join(dir, "server.toml"))
	if t.Failed() {
		t.FailNow()
	}
	return dir, linkIn(t, r)
}

// linkIn finds the one link that was printed, on a line of its own.
func linkIn(t *testing.T, r clitest.Result) joinlink.Link {
	t.Helper()
	if strings.Count(r.Stdout+r.Stderr, "mpproxy://") != 1 {
		t.Fatalf("want exactly one link in:\n%s%s", r.Stdout, r.Stderr)
	}
	for line := range strings.Lines(r.Stdout) {
		if strings.HasPrefix(line, "mpproxy://") {
			link, err := joinlink.Parse(line)
			if err != nil {
				t.Fatal(err)
			}
			return link
		}
	}
	t.Fatalf("no line is a link:\n%s", r.Stdout)
	return joinlink.Link{}
}

// modes lists the files below dir with their permissions.
func modes(t *testing.T, dir string) map[string]os.FileMode {
	t.Helper()
	got := map[string]os.FileMode{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		name, _ := filepath.Rel(dir, path)
		got[name] = info.Mode().Perm()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestInit(t *testing.T) {
	dir, link := initialized(t)
	want := map[string]os.FileMode{
		".": 0o700, "server.toml": 0o600, "server.key": 0o600, "server.crt": 0o600,
		"token.key": 0o600, "users.toml": 0o600, "users.toml.lock": 0o600,
	}
	if diff := cmp.Diff(want, modes(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if link.User != "user" || link.HostPort() != "proxy.example:8443" || link.Security != joinlink.SecurityTLS || link.Pin == (proxy.Pin{}) {
		t.Errorf("the link is %v", link)
	}
	users, err := os.ReadFile(filepath.Join(dir, "users.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(users), link.Token.Reveal()) {
		t.Error("the users file holds the token")
	}
	call(t, "", "check-config", filepath.Join(dir, "server.toml")).Expect(t, 0, "is fine, with 1 users")
}

func TestInitWithoutTLS(t *testing.T) {
	dir, link := initialized(t, "--security", "none", "--user", "alice", "--listen", "127.0.0.1:8443", "--listen", "[::1]:8443")
	if link.User != "alice" || link.Security != joinlink.SecurityNone || link.Pin != (proxy.Pin{}) || link.Token.IsZero() {
		t.Errorf("the link is %v", link)
	}
	for _, name := range []string{"server.key", "server.crt"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("there is a %s without TLS", name)
		}
	}
	r := call(t, "", "print-config", "--config", filepath.Join(dir, "server.toml"))
	r.Expect(t, 0, `security = "none"`, `listen = ["127.0.0.1:8443", "[::1]:8443"]`)
}

// TestInitInAPlaceThatIs uses a directory with other files and a path that is
// not absolute.
func TestInitInAPlaceThatIs(t *testing.T) {
	dir := t.TempDir()
	r := call(t, dir, "init", "--dir", ".", "--public", "192.0.2.1:443")
	r.Expect(t, 0, "--config server.toml")
	if link := linkIn(t, r); link.HostPort() != "192.0.2.1:443" {
		t.Errorf("the link is %v", link)
	}
	call(t, dir, "user", "list", "--config", "server.toml").Expect(t, 0, "user")
}

func TestSecondInitIsRefused(t *testing.T) {
	dir, link := initialized(t)
	before := contents(t, dir)
	r := call(t, "", "init", "--dir", dir, "--public", "proxy.example:8443")
	r.Expect(t, 1, "exists already", "user add NAME")
	r.Hides(t, link.Token.Reveal())
	if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
		t.Errorf("files changed (-before +after):\n%s", diff)
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for name := range modes(t, dir) {
		if name == "." {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got[name] = string(b)
	}
	return got
}

func TestInitMistakes(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		says []string
	}{
		"no port":         {[]string{"--public", "proxy.example"}, []string{"--public", "port", "HOST:PORT"}},
		"port 0":          {[]string{"--public", "proxy.example:0"}, []string{"--public"}},
		"port too large":  {[]string{"--public", "proxy.example:65536"}, []string{"--public"}},
		"no host":         {[]string{"--public", ":8443"}, []string{"--public"}},
		"bare IPv6":       {[]string{"--public", "2001:db8::1:8443"}, []string{"--public"}},
		"a URL":           {[]string{"--public", "https://proxy.example:8443"}, []string{"--public"}},
		"user with plus":  {[]string{"--public", "proxy.example:8443", "--user", "a+b"}, []string{"--user", "'+'"}},
		"user with colon": {[]string{"--public", "proxy.example:8443", "--user", "a:b"}, []string{"--user", "':'"}},
		"listen on port":  {[]string{"--public", "proxy.example:8443", "--listen", "8443"}, []string{"--listen", "[::]:8443"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "srv")
			r := call(t, "", append([]string{"init", "--dir", dir}, tt.args...)...)
			r.Expect(t, 2, tt.says...)
			if _, err := os.Lstat(dir); err == nil {
				t.Errorf("files were made in spite of the mistake: %v", modes(t, dir))
			}
		})
	}
}

// refused checks that a command failed and says these things.
func refused(t *testing.T, r clitest.Result, says ...string) {
	t.Helper()
	if r.Code != 1 && r.Code != 2 {
		t.Errorf("exit code %d, want 1 or 2", r.Code)
	}
	r.Expect(t, r.Code, says...)
}

func TestUsers(t *testing.T) {
	dir, first := initialized(t)
	file := filepath.Join(dir, "server.toml")

	added := call(t, "", "user", "add", "bob", "--config", file)
	added.Expect(t, 0, "Link for bob")
	bob := linkIn(t, added)
	if bob.User != "bob" || bob.Token == first.Token || bob.Pin != first.Pin {
		t.Errorf("bob's link is %v, the first user's %v", bob, first)
	}

	if again := linkIn(t, call(t, "", "user", "link", "bob", "--config", file)); again != bob {
		t.Error("user link prints another link than user add")
	}

	twice := call(t, "", "user", "add", "bob", "--config", file)
	twice.Expect(t, 1, "bob")
	twice.Hides(t, bob.Token.Reveal())

	list := call(t, "", "user", "list", "--config", file)
	list.Expect(t, 0, "NAME", "user ", "bob ", "enabled")
	list.Hides(t, bob.Token.Reveal())
	if strings.Contains(list.Stdout, "mpproxy://") {
		t.Error("the list shows links")
	}

	removed := call(t, "", "user", "remove", "bob", "--config", file)
	removed.Expect(t, 0, "Removed bob.")
	removed.Hides(t, bob.Token.Reveal())
	if list := call(t, "", "user", "list", "--config", file); strings.Contains(list.Stdout, "bob") {
		t.Errorf("bob is still listed:\n%s", list.Stdout)
	}
	call(t, "", "user", "remove", "bob", "--config", file).Expect(t, 1, "bob")
	call(t, "", "user", "link", "bob", "--config", file).Expect(t, 1, "bob", "user list")

	if anew := linkIn(t, call(t, "", "user", "add", "bob", "--config", file)); anew.Token == bob.Token {
		t.Error("a user who was removed and added has the old token")
	}
}

func TestUserNames(t *testing.T) {
	dir, _ := initialized(t)
	file := filepath.Join(dir, "server.toml")
	for _, name := range []string{"a+b", "a:b", " a", "", strings.Repeat("x", 300), "a\tb"} {
		r := call(t, "", "user", "add", "--config", file, "--", name)
		refused(t, r, "user name")
	}
	for _, name := range []string{"Ärger", "a b", "日本", "x@y.example"} {
		if link := linkIn(t, call(t, "", "user", "add", "--config", file, "--", name)); link.User != name {
			t.Errorf("the link of %q is for %q", name, link.User)
		}
	}
}

// TestAddWithoutPublic: a user for whom no link can be made is not added.
func TestAddWithoutPublic(t *testing.T) {
	dir, _ := initialized(t)
	file := filepath.Join(dir, "server.toml")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), "\npublic", "\n#public", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	call(t, "", "user", "add", "bob", "--config", file).Expect(t, 1, "public = ")
	if list := call(t, "", "user", "list", "--config", file); strings.Contains(list.Stdout, "bob") {
		t.Errorf("bob was added:\n%s", list.Stdout)
	}
}

// TestLinkOfAForeignToken: a hash that was put into the file by hand belongs to
// a token that nobody here knows.
func TestLinkOfAForeignToken(t *testing.T) {
	dir, _ := initialized(t)
	path := filepath.Join(dir, "users.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i := strings.Index(string(b), "sha256:") + len("sha256:")
	changed := string(b[:i]) + strings.Repeat("1", 64) + string(b[i+64:])
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	r := call(t, "", "user", "link", "user", "--config", filepath.Join(dir, "server.toml"))
	r.Expect(t, 1, "cannot be printed again", "remove the user")
}
