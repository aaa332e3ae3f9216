package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpproxy/config"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckConfigFindsMistakes(t *testing.T) {
	file := write(t, "listen = [\"[::]:8443\"]\nsecurty = \"tls\"\n[limits]\nidle_timeout = \"soon\"\nmax_connection = 3\n")
	for _, args := range [][]string{{"check-config", file}, {"run", "--config", file}, {"print-config", "--config", file}, {"user", "list", "--config", file}} {
		t.Run(args[0], func(t *testing.T) {
			call(t, "", args...).Expect(t, 2,
				file+`:2: securty: unknown key; did you mean "security"?`,
				file+`:4: limits.idle_timeout: `,
				file+`:5: limits.max_connection: unknown key; did you mean "max_connections"?`)
		})
	}
}

// TestDamagedFiles changes one of the files that init made, and expects
// check-config and run to say which, and what to do.
func TestDamagedFiles(t *testing.T) {
	damage := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tt := range map[string]struct {
		change func(t *testing.T, dir string)
		says   []string
	}{
		"no key":            {remove("server.key"), []string{"key: ", "server.key", "no such file"}},
		"no certificate":    {remove("server.crt"), []string{"certificate: ", "server.crt", "no such file"}},
		"no users":          {remove("users.toml"), []string{"users: ", "users.toml", "no such file"}},
		"no token key":      {remove("token.key"), []string{"token_key: ", "token.key", "no such file"}},
		"key is no key":     {damage("server.key", "hello\n"), []string{"server.key", "mpproxy-server init"}},
		"users are no TOML": {damage("users.toml", "hello\n"), []string{"users.toml:1"}},
		"misspelt user key": {damage("users.toml", "[[user]]\nnam = \"a\"\n"), []string{"users.toml:2", `did you mean "name"?`}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := initialized(t)
			tt.change(t, dir)
			file := filepath.Join(dir, "server.toml")
			for _, args := range [][]string{{"check-config", file}, {"run", "--config", file}} {
				refused(t, call(t, "", args...), tt.says...)
			}
		})
	}
}

// TestExposedSecrets: others may read a secret. The key that makes every token
// is refused, the others are warned of.
func TestExposedSecrets(t *testing.T) {
	for name, code := range map[string]int{"server.key": 0, "users.toml": 0, "token.key": 1} {
		t.Run(name, func(t *testing.T) {
			dir, _ := initialized(t)
			path := filepath.Join(dir, name)
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
			r := call(t, "", "check-config", filepath.Join(dir, "server.toml"))
			r.Expect(t, code)
			if !strings.Contains(r.Stderr, "chmod 600 "+path) {
				t.Errorf("no advice about %s:\n%s", path, r.Stderr)
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nowhere.toml")
	for _, args := range [][]string{{"check-config", nowhere}, {"run", "--config", nowhere}, {"user", "add", "x", "--config", nowhere}} {
		call(t, "", args...).Expect(t, 1, nowhere, "no such file")
	}
	call(t, "", "check-config", t.TempDir()).Expect(t, 1, "is a directory")
}

func TestPrintConfig(t *testing.T) {
	dir, link := initialized(t)
	r := call(t, "", "print-config", "--config", filepath.Join(dir, "server.toml"))
	r.Expect(t, 0, `public = "proxy.example:8443"`)
	r.Hides(t, link.Token.Reveal())
	key, err := os.ReadFile(filepath.Join(dir, "token.key"))
	if err != nil {
		t.Fatal(err)
	}
	r.Hides(t, strings.TrimSpace(string(key)))
	if _, err := config.ParseServer([]byte(r.Stdout), "printed.toml"); err != nil {
		t.Errorf("what print-config prints is no configuration: %v", err)
	}

	defaults := call(t, "", "print-config")
	defaults.Expect(t, 0, `mode = "aggregate"`)
	if _, err := config.ParseServer([]byte(defaults.Stdout), "printed.toml"); err != nil {
		t.Errorf("the printed defaults are no configuration: %v", err)
	}
}

func TestReference(t *testing.T) {
	r := call(t, "", "print-config", "--reference")
	r.Expect(t, 0, "[limits]", "token_key")
	if _, err := config.ParseServer([]byte(r.Stdout), "reference.toml"); err != nil {
		t.Errorf("the reference is no configuration: %v", err)
	}
}
