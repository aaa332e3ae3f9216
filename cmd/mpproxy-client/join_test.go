package main

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpproxy/config"
	"mpproxy/internal/clitest"
)

// concentrator answers one client at a time as RFC 1928 and RFC 1929 say: it
// wants a user and password, and accepts those of goodLink, with any mode.
type concentrator struct {
	listener net.Listener
	done     chan struct{}
	status   byte // of RFC 1929 §2: 0 is success
}

func newConcentrator(t *testing.T, status byte) *concentrator {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &concentrator{l, make(chan struct{}), status}
	go c.serve(t)
	t.Cleanup(func() {
		_ = l.Close()
		<-c.done
	})
	return c
}

func (c *concentrator) link() string {
	return "mpproxy://alice:" + token + "@" + c.listener.Addr().String() + "?security=none#home"
}

func (c *concentrator) serve(t *testing.T) {
	defer close(c.done)
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			return
		}
		if err := c.greet(conn); err != nil {
			t.Errorf("greeting: %v", err)
		}
		_ = conn.Close()
	}
}

func (c *concentrator) greet(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	read := func(n byte) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(conn, b)
		return b
	}
	head := read(2)
	read(head[1]) // methods
	if _, err := conn.Write([]byte{5, 2}); err != nil {
		return err
	}
	user := string(read(read(2)[1]))
	pass := string(read(read(1)[0]))
	if head[0] != 5 || user != "alice" && !strings.HasPrefix(user, "alice+") || pass != token {
		return errors.New("not what the link says")
	}
	_, err := conn.Write([]byte{1, c.status})
	return err
}

func join(t *testing.T, stdin string, args ...string) clitest.Result {
	t.Helper()
	r := clitest.Run(t, clitest.Call{Args: append([]string{"join"}, args...), Stdin: stdin, Network: true})
	r.Hides(t, token)
	return r
}

func TestJoin(t *testing.T) {
	server := newConcentrator(t, 0)
	for name, tt := range map[string]struct {
		stdin string
		args  []string
	}{
		"argument":                {"", []string{server.link()}},
		"standard input":          {server.link() + "\n", nil},
		"without a newline":       {server.link(), nil},
		"pasted with quotes":      {"\n  \"" + server.link() + "\"\r\n", nil},
		"broken by a mail reader": {strings.Replace(server.link(), "@", "@\n", 1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "new", "client.toml")
			r := join(t, tt.stdin, append([]string{"--config", file}, tt.args...)...)
			r.Expect(t, 0, "accepts the token", "Wrote "+file, "mpproxy-client run --config "+file)
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != 0o600 {
				t.Errorf("the file has mode %v, want 0600", info.Mode())
			}
			conf, err := config.LoadClient(file)
			if err != nil {
				t.Fatal(err)
			}
			if conf.Link.URL() != server.link() {
				t.Errorf("the file has the link %v", conf.Link)
			}
			call(t, "check-config", file).Expect(t, 0, "is fine")
		})
	}
}

func TestJoinDoesNotOverwrite(t *testing.T) {
	server := newConcentrator(t, 0)
	file := write(t, "# mine\n")
	join(t, server.link(), "--config", file).Expect(t, 1, file+" exists already")
	if b, err := os.ReadFile(file); string(b) != "# mine\n" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	dangling := filepath.Join(t.TempDir(), "link.toml")
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	join(t, server.link(), "--config", dangling).Expect(t, 1, "exists already")
}

func TestJoinFailures(t *testing.T) {
	refusing := newConcentrator(t, 1)
	for name, tt := range map[string]struct {
		link string
		code int
		says []string
	}{
		"nothing on standard input": {"", 2, []string{"link"}},
		"not a link":                {"hello", 2, []string{"mpproxy://"}},
		"a link without its end":    {"mpproxy://alice:" + token + "@192.0.2.1", 2, []string{"port"}},
		"bad base64":                {"mpproxy://alice:" + token + "@192.0.2.1:1?pin=!" + strings.Repeat("A", 42), 2, []string{"pin"}},
		"nobody there":              {goodLink, 1, []string{"127.0.0.1:1", "Nothing was written.", "Check that the server runs"}},
		"token refused":             {refusing.link(), 1, []string{"Nothing was written.", "mpproxy-server user link"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := join(t, tt.link, "--config", filepath.Join(dir, "client.toml"))
			r.Expect(t, tt.code, tt.says...)
			if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
				t.Errorf("files were written: %v", left)
			}
		})
	}
}

func TestJoinWithAWrongPin(t *testing.T) {
	other := httptest.NewUnstartedServer(nil)
	other.Config.ErrorLog = log.New(io.Discard, "", 0) // it hears of the failed handshake
	other.StartTLS()
	defer other.Close()
	link := "mpproxy://alice:" + token + "@" + other.Listener.Addr().String() + "?pin=" + strings.Repeat("A", 43)
	file := filepath.Join(t.TempDir(), "client.toml")
	join(t, link, "--config", file).Expect(t, 1, "Nothing was written.", "new key", "new link")
	if _, err := os.Lstat(file); err == nil {
		t.Error("a file was written")
	}
}

// TestWithoutHome: nothing says where this user's files are.
func TestWithoutHome(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root's files are in /etc/mpproxy, whatever the environment says")
	}
	join(t, goodLink).Expect(t, 1, "neither $XDG_CONFIG_HOME nor $HOME", "--config")
}

func TestJoinWhereNothingMayBeWritten(t *testing.T) {
	server := newConcentrator(t, 0)
	file := write(t, "")
	r := join(t, server.link(), "--config", filepath.Join(file, "client.toml"))
	r.Expect(t, 1, file, syscall.ENOTDIR.Error())
}
