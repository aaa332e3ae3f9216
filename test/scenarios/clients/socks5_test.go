package clients

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mpproxy/pathctl/policy"
	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

func TestUserNames(t *testing.T) {
	t.Parallel()
	t.Run("open listener", func(t *testing.T) {
		t.Parallel()
		r := scene.Start(t, rig.Config{EditClient: scene.With(`mode = "backup"`)})
		for _, user := range []string{"handover", "+handover"} {
			c, reply := scene.Ask(t, r, scene.Credentials{User: user, Password: "anything"}, scene.CmdConnect, "dest.example", 7)
			if reply != scene.RepSucceeded {
				t.Fatalf("user %q: reply %d", user, reply)
			}
			if st := scene.StatusOf(t, r); len(st.Connections) != 1 || st.Connections[0].Mode != "handover" {
				t.Errorf("user %q: connections %+v", user, st.Connections)
			}
			c.Close()
			scene.Saw(t, r.Server, "mode=handover")
			scene.Eventually(t, "connections", func() string {
				if n := len(scene.StatusOf(t, r).Connections); n > 0 {
					return "still open"
				}
				return ""
			})
		}
		scene.Works(t, r)
		scene.Saw(t, r.ClientDaemon, "mode=backup") // what the configuration says

		for _, user := range []string{"root", "x7f3", "q+x/8A=="} { // Java, what isolates streams
			c, reply := scene.Ask(t, r, scene.Credentials{User: user, Password: user}, scene.CmdConnect, "dest.example", 7)
			if reply != scene.RepSucceeded {
				t.Fatalf("user %q: reply %d", user, reply)
			}
			scene.Echo(t, c)
			if st := scene.StatusOf(t, r); len(st.Connections) != 1 || st.Connections[0].Mode != "backup" || st.Connections[0].User != user {
				t.Errorf("user %q: connections %+v", user, st.Connections)
			}
			c.Close()
			scene.Eventually(t, "no connection", func() string {
				if n := len(scene.StatusOf(t, r).Connections); n > 0 {
					return "still open"
				}
				return ""
			})
		}

		c, reply := scene.Ask(t, r, scene.Credentials{User: "hand-over", Password: "x"}, scene.CmdConnect, "dest.example", 7)
		if reply != scene.RepSucceeded {
			t.Errorf("misspelt mode: reply %d", reply)
		}
		c.Close()
		line := scene.Saw(t, r.ClientDaemon, "hand-over")
		for _, m := range policy.Modes() {
			if !strings.Contains(line, string(m)) {
				t.Errorf("the log does not say that there is mode %s: %s", m, line)
			}
		}
		if !strings.Contains(line, "did you mean") {
			t.Errorf("the log does not name the nearest mode: %s", line)
		}
		if st := scene.StatusOf(t, r); st.Totals.AuthFailures != 0 {
			t.Errorf("%d authentication failures in the status of an open listener", st.Totals.AuthFailures)
		}
	})
	t.Run("local users", func(t *testing.T) {
		t.Parallel()
		r := scene.Start(t, rig.Config{EditClient: func(toml string) string {
			return toml + "\n[[socks.user]]\nname = \"anna\"\npassword = \"right\"\n"
		}})
		for _, tt := range []struct {
			cred scene.Credentials
			ok   bool
		}{
			{scene.Credentials{User: "anna", Password: "right"}, true},
			{scene.Credentials{User: "anna+interactive", Password: "right"}, true},
			{scene.Credentials{User: "anna", Password: "wrong"}, false},
			{scene.Credentials{User: "otto", Password: "right"}, false},
			{scene.Credentials{User: "anna+nonsense", Password: "right"}, false},
			{scene.Credentials{User: "interactive", Password: ""}, false},
			{scene.Credentials{}, false}, // offers no user name
		} {
			c := scene.DialSocks(t, r)
			reply, err := scene.Converse(c, tt.cred, scene.Request(scene.CmdConnect, "dest.example", 7))
			if tt.ok && (err != nil || reply != scene.RepSucceeded) || !tt.ok && !errors.Is(err, scene.ErrAuth) {
				t.Errorf("%+v: reply %d, %v", tt.cred, reply, err)
			}
			if tt.ok {
				scene.Echo(t, c)
			}
			c.Close()
		}
		if out := r.ClientDaemon.Output(); strings.Contains(out, "password=right") || strings.Contains(out, `"right"`) {
			t.Error("a password is in the log")
		}
	})
}

func TestHalfClose(t *testing.T) {
	t.Parallel()
	for _, security := range []string{"tls", "none"} {
		t.Run(security, func(t *testing.T) {
			t.Parallel()
			r := scene.Start(t, rig.Config{Security: security, Links: scene.ClientLinks()})
			t.Run("application first", func(t *testing.T) { applicationEndsFirst(t, r) })
			t.Run("destination first", func(t *testing.T) { destinationEndsFirst(t, r) })
			scene.NothingLingers(t, r.ClientDaemon, r.Server)
		})
	}
}

const halfCloseSize = 300_000

// applicationEndsFirst: all that was echoed arrives behind the application's
// end of data, and then the destination's.
func applicationEndsFirst(t *testing.T, r *rig.Rig) {
	c := scene.Through(t, r, "dest.example", 7)
	sent := make(chan error, 1)
	go sendAndEnd(c, sent)
	s := scene.NewSink(scene.NewGate(t))
	if _, err := io.Copy(s, c); err != nil {
		t.Error(err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	s.Check(t, halfCloseSize)
}

func sendAndEnd(c *net.TCPConn, done chan<- error) {
	_, err := io.Copy(c, apps.NewContent(halfCloseSize))
	done <- errors.Join(err, c.CloseWrite())
}

// destinationEndsFirst: what the application sends after it has read the
// destination's end of data arrives.
func destinationEndsFirst(t *testing.T, r *rig.Rig) {
	l, err := apps.Listen(t.Context(), r.Destination, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go takeAfterGoodbye(l, got)
	c := scene.Through(t, r, "dest.example", uint16(l.Addr().(*net.TCPAddr).Port))
	if b, err := io.ReadAll(c); err != nil || string(b) != "goodbye" {
		t.Fatalf("read %q, %v", b, err)
	}
	sendAndEnd(c, make(chan error, 1))
	if sum := <-got; sum != apps.SHA256(halfCloseSize) {
		t.Errorf("the destination received %s", sum)
	}
}

func takeAfterGoodbye(l *net.TCPListener, got chan<- string) {
	c, err := l.AcceptTCP()
	if err != nil {
		got <- err.Error()
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(scene.Patience))
	h := sha256.New()
	_, err = io.WriteString(c, "goodbye")
	err = errors.Join(err, c.CloseWrite())
	if _, cerr := io.Copy(h, c); errors.Join(err, cerr) != nil {
		got <- errors.Join(err, cerr).Error()
		return
	}
	got <- hex.EncodeToString(h.Sum(nil))
}

// TestEarlyData: an application may send before the answer is there.
func TestEarlyData(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, rig.Config{})
	c := scene.DialSocks(t, r)
	text := []byte("sent without waiting")
	flight := append([]byte{5, 1, 0}, scene.Request(scene.CmdConnect, "dest.example", 7)...)
	if _, err := c.Write(append(flight, text...)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	if reply, err := scene.ReadReply(c); err != nil || reply != scene.RepSucceeded {
		t.Fatalf("reply %d, %v", reply, err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, text) {
		t.Errorf("echo of what was sent early: %q, %v", got, err)
	}
	scene.Echo(t, c)
}

// TestApplicationLeavesDuringDial: the time limits are minutes, so that only
// the application's leaving can end the dial within the patience of the test.
func TestApplicationLeavesDuringDial(t *testing.T) {
	t.Parallel()
	for _, security := range []string{"tls", "none"} {
		t.Run(security, func(t *testing.T) {
			t.Parallel()
			r := scene.Start(t, rig.Config{
				Security: security, Prepare: specialRoutes,
				EditServer: scene.With(`limits.connect_timeout = "10m"`),
				EditClient: scene.With(`limits.connect_timeout = "10m"`),
			})
			silent := netip.AddrPortFrom(netip.MustParseAddr(silentHost), 80)
			dials := func() (n int) {
				for _, s := range scene.InState(t, r.Server, scene.StateSynSent) {
					if s.Remote == silent {
						n++
					}
				}
				return n
			}
			for _, how := range []string{"close", "reset"} {
				c := scene.DialSocks(t, r)
				if err := (scene.Credentials{}).Greet(c); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Write(scene.Request(scene.CmdConnect, silentHost, 80)); err != nil {
					t.Fatal(err)
				}
				scene.Eventually(t, "the concentrator's dial", func() string {
					if dials() != 1 {
						return "has not begun"
					}
					return ""
				})
				if how == "reset" {
					_ = c.SetLinger(0)
				}
				c.Close()
				scene.Eventually(t, "the concentrator's dial", func() string {
					if dials() != 0 {
						return "goes on although the application left (" + how + ")"
					}
					return ""
				})
			}
			scene.NothingLingers(t, r.ClientDaemon, r.Server)
			scene.Works(t, r)
		})
	}
}
