package limits

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// badInputs are what a listener may get from anybody. After each the peer waits
// for the listener to end the connection.
var badInputs = []struct {
	name  string
	bytes []byte
	end   bool // the peer ends its direction behind the bytes
}{
	{"nothing, slowly", nil, false},
	{"nothing", nil, true},
	{"one byte, then nothing", []byte{5}, false},
	{"one byte of TLS, then nothing", []byte{22}, false},
	{"truncated greeting", []byte{5, 3, 0}, true},
	{"greeting, then nothing", []byte{5, 1, 0}, false},
	{"greeting with every method, then nothing", append([]byte{5, 255}, make([]byte, 255)...), false},
	{"greeting, truncated password", []byte{5, 1, 2, 1, 255, 'a'}, true},
	{"greeting and password without a user", []byte{5, 1, 2, 1, 0, 0}, true},
	{"truncated request", []byte{5, 1, 0, 5, 1, 0, 3, 255, 'a', 'b'}, true},
	{"truncated request, then nothing", []byte{5, 1, 0, 5, 1, 0, 3, 255, 'a', 'b'}, false},
	{"request without a name", []byte{5, 1, 0, 5, 1, 0, 3, 0, 0, 80}, true},
	{"SOCKS4", []byte{4, 1, 0, 80, 203, 0, 113, 129, 0}, true},
	{"HTTP", []byte("GET / HTTP/1.0\r\n\r\n"), false},
	{"HTTP that is none", []byte("GET /v1/status?interval=-1s HTTP/1.1\r\nHost: \x00\r\n\r\n"), false},
	{"oversized HTTP", []byte("GET /" + strings.Repeat("a", 2<<20)), false},
	{"truncated TLS", []byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 1, 2, 3}, true},
	{"oversized TLS record", append([]byte{22, 3, 1, 255, 255}, make([]byte, 65535)...), false},
	{"zeros", make([]byte, 1<<20), false},
	{"random bytes", randomBytes(1), false},
	{"random bytes behind a greeting", append([]byte{5, 1, 0}, randomBytes(2)...), false},
	{"random bytes behind a request", append([]byte{5, 1, 0, 5}, randomBytes(3)...), true},
}

func randomBytes(seed uint8) []byte {
	b := make([]byte, 100_000)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// badListener is one that gets them.
type badListener struct {
	name string
	dial func(context.Context) (net.Conn, error)
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	for _, security := range []string{"tls", "none"} {
		t.Run(security, func(t *testing.T) {
			t.Parallel()
			r := scene.Start(t, rig.Config{
				Security:   security,
				EditServer: scene.With(`limits.handshake_timeout = "1s"`, `limits.auth_failure_delay = "10ms"`),
				EditClient: scene.With(`socks.handshake_timeout = "1s"`),
			})
			scene.Works(t, r)
			_ = scene.StatusOf(t, r)
			scene.NothingLingers(t, r.ClientDaemon, r.Server)
			before := []int{scene.Descriptors(t, r.ClientDaemon), scene.Descriptors(t, r.Server)}

			feed(t, r, badListeners(r, security))

			scene.Works(t, r)
			if st := scene.StatusOf(t, r); st.Server.State != "ok" || st.Totals.Live != 0 {
				t.Errorf("status afterwards: server %q, %d connections", st.Server.State, st.Totals.Live)
			}
			scene.NothingLingers(t, r.ClientDaemon, r.Server)
			scene.DescriptorsReturn(t, r.ClientDaemon, before[0])
			scene.DescriptorsReturn(t, r.Server, before[1])
			noGoroutineLeft(t, r.ClientDaemon)
			noGoroutineLeft(t, r.Server)
		})
	}
}

func badListeners(r *rig.Rig, security string) []badListener {
	concentrator := net.JoinHostPort(r.Concentrator4.String(), strconv.Itoa(rig.Port))
	tcp := func(address string) func(context.Context) (net.Conn, error) {
		return func(ctx context.Context) (net.Conn, error) { return r.Client.DialContext(ctx, "tcp", address) }
	}
	listeners := []badListener{
		{"SOCKS", tcp(rig.Socks)},
		{"concentrator", tcp(concentrator)},
		{"admin", func(ctx context.Context) (c net.Conn, err error) {
			// The socket is in the host's own /run.
			err = r.Client.Do(ctx, func() error {
				c, err = net.Dial("unix", filepath.Join("/run", "mpproxy", "client.sock"))
				return err
			})
			return c, err
		}},
	}
	if security == "tls" {
		listeners = append(listeners, badListener{"concentrator, inside TLS", func(ctx context.Context) (net.Conn, error) {
			c, err := r.Client.DialContext(ctx, "tcp", concentrator)
			if err != nil {
				return nil, err
			}
			tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			if err := tc.HandshakeContext(ctx); err != nil {
				return nil, errors.Join(err, c.Close())
			}
			return tc, nil
		}})
	}
	return listeners
}

// feed sends every bad input to every listener, all at the same time, and waits
// for the end of each connection.
func feed(t *testing.T, r *rig.Rig, listeners []badListener) {
	t.Helper()
	type outcome struct {
		what string
		err  error
	}
	outcomes := make(chan outcome)
	n := 0
	for _, l := range listeners {
		for _, in := range badInputs {
			c, err := l.dial(scene.Patient(t))
			if err != nil {
				t.Fatalf("%s: %v", l.name, err)
			}
			n++
			go func() { outcomes <- outcome{l.name + ", " + in.name, sendBad(c, in.bytes, in.end)} }()
		}
	}
	for range n {
		if o := <-outcomes; o.err != nil {
			t.Errorf("%s: %v", o.what, o.err)
		}
	}
}

// sendBad returns an error unless the other side ends the connection.
func sendBad(c net.Conn, b []byte, end bool) error {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(scene.Patience))
	// An error here means that the listener has seen enough.
	if _, err := io.Copy(c, bytes.NewReader(b)); err == nil && end {
		if half, ok := c.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}
	if _, err := io.Copy(io.Discard, c); scene.IsTimeout(err) {
		return errors.New("the connection is still open")
	}
	return nil
}

// noGoroutineLeft ends a program as SIGQUIT does, with a list of its
// goroutines: none may belong to a connection.
func noGoroutineLeft(t *testing.T, p *netns.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	_ = scene.Ended(t, p)
	_, dump, ok := strings.Cut(p.Output(), "SIGQUIT: quit")
	if !ok {
		t.Fatalf("%s has not listed its goroutines:\n%s", p.Name(), p.Output())
	}
	goroutines := strings.Split(dump, "\n\n")
	if !slices.ContainsFunc(goroutines, func(g string) bool { return strings.Contains(g, "acceptLoop") }) {
		t.Errorf("%s: the list has not even the listener:\n%s", p.Name(), dump)
	}
	for _, g := range goroutines {
		if strings.Contains(g, "relay.(*Parking).watch(") {
			continue // one for all connections, there or not
		}
		for _, of := range []string{").handle(", ".handshake(", "Front).pump(", "Concentrator).pump(", "proxy/relay.", "watchForEnd", "http.(*conn).serve"} {
			if strings.Contains(g, of) {
				t.Errorf("%s: a goroutine of a connection is left:\n%s", p.Name(), g)
			}
		}
	}
}
