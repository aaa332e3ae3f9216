package operation

import (
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// manage runs `mpproxy-server user …` beside the server.
func manage(t *testing.T, r *rig.Rig, args ...string) string {
	t.Helper()
	args = append(append([]string{"user"}, args...), "--config", r.ServerConfig())
	out, err := r.Concentrator.Command(scene.Patient(t), r.ServerBinary(), args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// linkIn finds the link in what a command printed.
func linkIn(t *testing.T, out string) string {
	t.Helper()
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "mpproxy://") {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("no link in:\n%s", out)
	return ""
}

func TestUsersChangeWhileServerRuns(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, rig.Config{Links: scene.ClientLinks(), NoClient: true})
	usersFile := filepath.Join(filepath.Dir(r.ServerConfig()), "users.toml")

	bob := linkIn(t, manage(t, r, "add", "bob"))
	scene.Saw(t, r.Server, `msg="read the users file again" users=2`)
	if again := linkIn(t, manage(t, r, "link", "bob")); again != bob {
		t.Error("user link prints another link than user add did")
	}
	if again := linkIn(t, manage(t, r, "link", "alice")); again != r.Link {
		t.Error("user link prints another link than init did")
	}
	list := manage(t, r, "list")
	if !strings.Contains(list, "alice") || !strings.Contains(list, "bob") {
		t.Errorf("user list:\n%s", list)
	}
	text, err := os.ReadFile(usersFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{bob, r.Link} {
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{scene.TokenOf(u), link} {
			if strings.Contains(list, secret) || strings.Contains(string(text), secret) || strings.Contains(r.Server.Output(), secret) {
				t.Errorf("the token of %s is in the users file, in the list or in the log", u.User.Username())
			}
		}
	}

	// The new user comes in.
	scene.RunWith(t, r, bob)
	scene.Works(t, r)

	reads := func() int { return strings.Count(r.Server.Output(), "read the users file again") }
	before := reads()
	if err := r.Server.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	scene.Eventually(t, "SIGHUP", func() string {
		if reads() == before {
			return "the file was not read again"
		}
		return ""
	})

	// A file with mistakes changes nothing.
	if err := os.WriteFile(usersFile, append(text, "\n[[user]]\nnmae = \"carol\"\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	line := scene.Saw(t, r.Server, "the users file cannot be used")
	if !strings.Contains(line, "did you mean") {
		t.Errorf("the log does not name the nearest key: %s", line)
	}
	scene.Works(t, r)
}

func TestRemovedUserIsCutOff(t *testing.T) {
	t.Parallel()
	for _, security := range []string{"tls", "none"} {
		t.Run(security, func(t *testing.T) {
			t.Parallel()
			removeUser(t, security)
		})
	}
}

func removeUser(t *testing.T, security string) {
	// The application is to hear of the refusal itself, and its connection is the only leg.
	honest := scene.With("early_answer = false", "limits.idle_legs = 0")
	r := scene.Start(t, rig.Config{Security: security, Links: scene.ClientLinks(), EditClient: honest})
	bob := linkIn(t, manage(t, r, "add", "bob"))
	scene.Saw(t, r.Server, `msg="read the users file again" users=2`)
	alices := scene.Through(t, r, "dest.example", 7)
	scene.Echo(t, alices)
	var bobs net.Conn
	if security == "none" {
		bobs = straight(t, r, bob)
		scene.Echo(t, bobs)
	}

	manage(t, r, "remove", "alice")
	if b, err := io.ReadAll(alices); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection of a removed user goes on: read %q, %v", b, err)
	}
	scene.Saw(t, r.Server, "users=1 connections_ended=1")
	c, reply := scene.Ask(t, r, scene.Credentials{}, scene.CmdConnect, "dest.example", 7)
	if reply != scene.RepGeneralFailure {
		t.Errorf("a removed user's new connection: reply %d", reply)
	}
	c.Close()
	alices.Close()
	scene.Saw(t, r.ClientDaemon, "token refused")
	if bobs != nil {
		scene.Echo(t, bobs) // is not concerned
		bobs.Close()
	}
	scene.NothingLingers(t, r.ClientDaemon, r.Server)

	// A new user of the same name is somebody else.
	if again := linkIn(t, manage(t, r, "add", "alice")); again == r.Link {
		t.Error("who was removed and added again has the old token")
	}
}

// straight opens a connection to the echo server at a concentrator without TLS,
// without a client of ours.
func straight(t *testing.T, r *rig.Rig, link string) net.Conn {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Client.DialContext(scene.Patient(t), "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(scene.Patience))
	reply, err := scene.Converse(c, scene.Credentials{User: u.User.Username(), Password: scene.TokenOf(u)}, scene.Request(scene.CmdConnect, "dest.example", 7))
	if err != nil || reply != scene.RepSucceeded {
		t.Fatalf("straight to the concentrator: reply %d, %v", reply, err)
	}
	return c
}
