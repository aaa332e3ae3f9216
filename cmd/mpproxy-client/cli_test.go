package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpproxy/config"
	"mpproxy/internal/clitest"
)

func TestMain(m *testing.M) { clitest.Main(m, main) }

// What must not be seen in any output.
const (
	token    = "zTnXqJ0-secret-token"
	password = "hush-hush-password"
)

// goodLink leads to a port where nobody listens.
const goodLink = "mpproxy://alice:" + token + "@127.0.0.1:1?security=none#home"

func call(t *testing.T, args ...string) clitest.Result {
	t.Helper()
	r := clitest.Run(t, clitest.Call{Args: args})
	r.Hides(t, token)
	return r
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "client.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func absent(t *testing.T) string { return filepath.Join(t.TempDir(), "absent.toml") }

func TestHelpTeaches(t *testing.T) {
	call(t, "--help").Expect(t, 0, "mpproxy-client join", "mpproxy-client run", "socks5h://127.0.0.1:1080",
		"  run ", "  join ", "  status ", "  check-config ", "  print-config ", "  version ")
	for command, flag := range map[string]string{
		"run": "--path", "join": "standard input", "status": "--json", "check-config": "<file>", "print-config": "--reference",
	} {
		call(t, command, "--help").Expect(t, 0, "Usage: mpproxy-client "+command, flag)
	}
}

func TestWrongCommandLines(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"nothing":         {nil, `"run", "join"`},
		"unknown command": {[]string{"start"}, "unexpected argument start"},
		"misspelt flag":   {[]string{"run", "--lnk", "x"}, `did you mean "--link"?`},
		"no file":         {[]string{"check-config"}, "<file>"},
		"flag in vain":    {[]string{"version", "--json"}, "--json"},
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, tt.args...)
			r.Expect(t, 2, tt.says, "Try 'mpproxy-client --help'.")
			if r.Stdout != "" {
				t.Errorf("standard output of a mistake: %q", r.Stdout)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	r := call(t, "version")
	r.Expect(t, 0, "mpproxy-client ", "go1.")
	if strings.Count(r.Stdout, "\n") != 1 {
		t.Errorf("version prints %q, want one line", r.Stdout)
	}
}

func TestStatusWithoutClient(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none.sock")
	for name, args := range map[string][]string{
		"socket":        {"status", "--socket", socket},
		"JSON":          {"status", "--json", "--socket", socket},
		"configuration": {"status", "--config", write(t, "[admin]\nsocket = \""+socket+"\"\n")},
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, args...)
			r.Expect(t, 1, "no mpproxy-client is running", socket, "mpproxy-client run")
			if r.Stdout != "" {
				t.Errorf("standard output: %q", r.Stdout)
			}
		})
	}
}

func TestRunMistakes(t *testing.T) {
	good := write(t, "link = \""+goodLink+"\"\n")
	for name, tt := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"no link":            {[]string{"--config", write(t, "")}, 2, []string{"link: there is none", "mpproxy-client join", "--link"}},
		"no file":            {[]string{"--config", absent(t)}, 1, []string{"absent.toml", "no such file"}},
		"misspelt key":       {[]string{"--config", write(t, "\nlnk = \"x\"\n")}, 2, []string{`:2: lnk: unknown key; did you mean "link"?`}},
		"bad --link":         {[]string{"--config", good, "--link", "mpproxy://alice:" + token + "@host"}, 2, []string{"--link", "port"}},
		"link without pin":   {[]string{"--config", good, "--link", "mpproxy://alice:" + token + "@host:1"}, 2, []string{"--link", "pin"}},
		"link of a web page": {[]string{"--config", good, "--link", "https://example.org/"}, 2, []string{"--link", "mpproxy://"}},
		"bad --mode":         {[]string{"--config", good, "--mode", "fast"}, 2, []string{"--mode", `"fast"`, "handover"}},
		"bad --socks":        {[]string{"--config", good, "--socks", "1080"}, 2, []string{"--socks", "127.0.0.1:1080"}},
		"bad --path":         {[]string{"--config", good, "--path", "wlan0:free"}, 2, []string{"--path", "INTERFACE:metered"}},
		"open to the world":  {[]string{"--config", good, "--socks", "192.0.2.1:1080"}, 2, []string{"socks.listen", "allow_open = true"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, append([]string{"run"}, tt.args...)...)
			r.Expect(t, tt.code, tt.says...)
			if strings.Contains(r.Stderr, "msg=") {
				t.Errorf("the proxy was started:\n%s", r.Stderr)
			}
		})
	}
}

func TestCheckConfig(t *testing.T) {
	good := write(t, "link = \""+goodLink+"\"\n[[socks.user]]\nname = \"bob\"\npassword = \""+password+"\"\n")
	r := call(t, "check-config", good)
	r.Expect(t, 0, good+" is fine.")
	r.Hides(t, password)

	bad := write(t, "link = \"mpproxy://alice:"+token+"@192.0.2.1:8443?pin=short\"\n[socks]\nlistn = []\n[[path]]\ninterface = \"wlan0\"\nrank = 0\n")
	call(t, "check-config", bad).Expect(t, 2,
		bad+":1: link: pin: ", bad+`:3: socks.listn: unknown key; did you mean "listen"?`, bad+":6: path.rank: 0 is out of range")
	call(t, "check-config", write(t, "mode = \"single\"\n")).Expect(t, 2, "link: there is none")
	call(t, "check-config", write(t, "mode = \n")).Expect(t, 2, ":1: ")
	call(t, "check-config", absent(t)).Expect(t, 1, "no such file")
	call(t, "check-config", t.TempDir()).Expect(t, 1, "is a directory")

	if err := os.Chmod(good, 0o644); err != nil {
		t.Fatal(err)
	}
	if r := call(t, "check-config", good); r.Code != 0 || !strings.Contains(r.Stderr, "chmod 600 "+good) {
		t.Errorf("code %d, standard error %q: want a warning", r.Code, r.Stderr)
	}
}

func TestPrintConfig(t *testing.T) {
	r := call(t, "print-config", "--config", write(t, "link = \""+goodLink+"\"\n[[socks.user]]\nname = \"bob\"\npassword = \""+password+"\"\n"))
	r.Expect(t, 0, "mpproxy://alice:REDACTED@127.0.0.1:1", `name = "bob"`, `password = "REDACTED"`)
	r.Hides(t, password)
	if _, err := config.ParseClient([]byte(r.Stdout), "printed.toml"); err != nil {
		t.Errorf("what print-config prints is no configuration: %v", err)
	}
}

func TestReference(t *testing.T) {
	r := call(t, "print-config", "--reference")
	r.Expect(t, 0, "[socks]", "[[path]]")
	if _, err := config.ParseClient([]byte(r.Stdout), "reference.toml"); err != nil {
		t.Errorf("the reference is no configuration: %v", err)
	}
}
