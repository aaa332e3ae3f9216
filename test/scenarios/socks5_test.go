package scenarios

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
)

func TestUserNames(t *testing.T) {
	t.Parallel()
	t.Run("open listener", func(t *testing.T) {
		t.Parallel()
		r := start(t, rig.Config{EditClient: with(`mode = "backup"`)})
		for _, user := range []string{"handover", "+handover"} {
			c, reply := ask(t, r, credentials{user, "anything"}, cmdConnect, "dest.example", 7)
			if reply != repSucceeded {
				t.Fatalf("user %q: reply %d", user, reply)
			}
			if st := statusOf(t, r); len(st.Connections) != 1 || st.Connections[0].Mode != "handover" {
				t.Errorf("user %q: connections %+v", user, st.Connections)
			}
			c.Close()
			saw(t, r.Server, "mode=handover")
			eventually(t, "connections", func() string {
				if n := len(statusOf(t, r).Connections); n > 0 {
					return "still open"
				}
				return ""
			})
		}
		works(t, r)
		saw(t, r.ClientDaemon, "mode=backup") // what the configuration says

		if _, err := converse(dialSocks(t, r), credentials{"hand-over", "x"}, request(cmdConnect, "dest.example", 7)); !errors.Is(err, errAuth) {
			t.Errorf("unknown mode: %v", err)
		}
		line := saw(t, r.ClientDaemon, "hand-over")
		for _, m := range policy.Modes() {
			if !strings.Contains(line, string(m)) {
				t.Errorf("the log does not say that there is mode %s: %s", m, line)
			}
		}
		if st := statusOf(t, r); st.Totals.AuthFailures != 1 {
			t.Errorf("%d authentication failures in the status, want 1", st.Totals.AuthFailures)
		}
	})
	t.Run("local users", func(t *testing.T) {
		t.Parallel()
		r := start(t, rig.Config{EditClient: func(toml string) string {
			return toml + "\n[[socks.user]]\nname = \"anna\"\npassword = \"right\"\n"
		}})
		for _, tt := range []struct {
			cred credentials
			ok   bool
		}{
			{credentials{"anna", "right"}, true},
			{credentials{"anna+interactive", "right"}, true},
			{credentials{"anna", "wrong"}, false},
			{credentials{"otto", "right"}, false},
			{credentials{"anna+nonsense", "right"}, false},
			{credentials{"interactive", ""}, false},
			{credentials{}, false}, // offers no user name
		} {
			c := dialSocks(t, r)
			reply, err := converse(c, tt.cred, request(cmdConnect, "dest.example", 7))
			if tt.ok && (err != nil || reply != repSucceeded) || !tt.ok && !errors.Is(err, errAuth) {
				t.Errorf("%+v: reply %d, %v", tt.cred, reply, err)
			}
			if tt.ok {
				echo(t, c)
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
			r := start(t, rig.Config{Security: security, Links: clientLinks()})
			t.Run("application first", func(t *testing.T) { applicationEndsFirst(t, r) })
			t.Run("destination first", func(t *testing.T) { destinationEndsFirst(t, r) })
			nothingLingers(t, r.ClientDaemon, r.Server)
		})
	}
}

const halfCloseSize = 300_000

// applicationEndsFirst: all that was echoed arrives behind the application's
// end of data, and then the destination's.
func applicationEndsFirst(t *testing.T, r *rig.Rig) {
	c := through(t, r, "dest.example", 7)
	sent := make(chan error, 1)
	go sendAndEnd(c, sent)
	s := newSink(newGate(t))
	if _, err := io.Copy(s, c); err != nil {
		t.Error(err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	s.check(t, halfCloseSize)
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
	c := through(t, r, "dest.example", uint16(l.Addr().(*net.TCPAddr).Port))
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
	_ = c.SetDeadline(time.Now().Add(patience))
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
	r := start(t, rig.Config{})
	c := dialSocks(t, r)
	text := []byte("sent without waiting")
	flight := append([]byte{5, 1, 0}, request(cmdConnect, "dest.example", 7)...)
	if _, err := c.Write(append(flight, text...)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	if reply, err := readReply(c); err != nil || reply != repSucceeded {
		t.Fatalf("reply %d, %v", reply, err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, text) {
		t.Errorf("echo of what was sent early: %q, %v", got, err)
	}
	echo(t, c)
}

// TestApplicationLeavesDuringDial: the time limits are minutes, so that only
// the application's leaving can end the dial within the patience of the test.
func TestApplicationLeavesDuringDial(t *testing.T) {
	t.Parallel()
	for _, security := range []string{"tls", "none"} {
		t.Run(security, func(t *testing.T) {
			t.Parallel()
			r := start(t, rig.Config{
				Security: security, Prepare: specialRoutes,
				EditServer: with(`limits.connect_timeout = "10m"`),
				EditClient: with(`limits.connect_timeout = "10m"`),
			})
			silent := netip.AddrPortFrom(netip.MustParseAddr(silentHost), 80)
			dials := func() (n int) {
				for _, s := range inState(t, r.Server, stateSynSent) {
					if s.remote == silent {
						n++
					}
				}
				return n
			}
			for _, how := range []string{"close", "reset"} {
				c := dialSocks(t, r)
				if err := (credentials{}).greet(c); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Write(request(cmdConnect, silentHost, 80)); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the concentrator's dial", func() string {
					if dials() != 1 {
						return "has not begun"
					}
					return ""
				})
				if how == "reset" {
					_ = c.SetLinger(0)
				}
				c.Close()
				eventually(t, "the concentrator's dial", func() string {
					if dials() != 0 {
						return "goes on although the application left (" + how + ")"
					}
					return ""
				})
			}
			nothingLingers(t, r.ClientDaemon, r.Server)
			works(t, r)
		})
	}
}
