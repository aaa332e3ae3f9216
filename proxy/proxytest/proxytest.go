// Package proxytest is what tests of the data path share: peers, destinations and the
// bytes of SOCKS5, written out so that the tests do not lean on the code that they test.
// It waits for events and never for a time, and is for dot imports in tests alone.
package proxytest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"mpproxy/proxy"
)

// Patience bounds every wait of these tests. None of them waits for it unless
// something is wrong.
const Patience = 20 * time.Second

// AnyPort lets the kernel choose the port.
var AnyPort = netip.MustParseAddrPort("127.0.0.1:0")

// Addresses for documentation, at which nobody listens.
var (
	V4 = netip.MustParseAddrPort("192.0.2.1:443")
	V6 = netip.MustParseAddrPort("[2001:db8::1]:8080")
)

// Auth knows users by "user" or "user+mode"; open listeners take anybody.
type Auth struct {
	Anybody bool
	Tokens  map[string]string
}

// Open reports whether anybody may come.
func (a Auth) Open() bool { return a.Anybody }

// Authenticate is socks.Authenticator's.
func (a Auth) Authenticate(_ context.Context, user, password string) (proxy.Identity, error) {
	name, mode, _ := strings.Cut(user, "+")
	if mode == "" {
		mode = "aggregate"
	}
	if a.Anybody {
		return proxy.Identity{User: name, Mode: mode}, nil
	}
	if token, ok := a.Tokens[name]; !ok || token != password {
		return proxy.Identity{}, fmt.Errorf("%w: user %q", proxy.ErrAuthenticationFailed, name)
	}
	return proxy.Identity{User: name, Mode: mode}, nil
}

// Alice knows alice and bob, who have the same token.
var Alice = Auth{Tokens: map[string]string{"alice": "token", "bob": "token"}}

// NewKey makes a server key and the pin of it.
func NewKey(t testing.TB) (tls.Certificate, proxy.Pin) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	Must(t, err)
	leaf, err := x509.ParseCertificate(der)
	Must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
}

// Must fails the test on an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Within returns a context that ends with the test, after Patience at the latest.
func Within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Eventually waits until f holds, for what no event tells.
func Eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// Await receives from a channel, or fails.
func Await[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(Patience):
		t.Fatalf("never: %s", what)
		panic("unreachable")
	}
}

// Running is a front or a concentrator in its own goroutine.
type Running struct {
	Addr netip.AddrPort
	Stop context.CancelFunc
	Done chan error // of Run
}

type server interface {
	Run(context.Context) error
	Ready() <-chan struct{}
	Addrs() []netip.AddrPort
}

// Start runs s until the test is over, and waits for its end.
func Start(t testing.TB, s server) *Running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &Running{Stop: cancel, Done: make(chan error, 1)}
	go r.run(ctx, s)
	t.Cleanup(func() {
		cancel()
		if err := Await(t, "the end of Run", r.Done); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-s.Ready():
	case err := <-r.Done:
		r.Done <- err
		t.Fatal(err)
	}
	r.Addr = s.Addrs()[0]
	return r
}

func (r *Running) run(ctx context.Context, s server) { r.Done <- s.Run(ctx); close(r.Done) }

// StartDestination serves each connection with handle in a goroutine of its
// own until the test is over.
func StartDestination(t testing.TB, handle func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	Must(t, err)
	var wg sync.WaitGroup
	wg.Add(1)
	go serveDestination(l.(*net.TCPListener), handle, &wg)
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func serveDestination(l *net.TCPListener, handle func(*net.TCPConn), wg *sync.WaitGroup) {
	defer wg.Done()
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			return
		}
		wg.Add(1)
		go handleDestination(c, handle, wg)
	}
}

func handleDestination(c *net.TCPConn, handle func(*net.TCPConn), wg *sync.WaitGroup) {
	defer wg.Done()
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(Patience))
	handle(c)
}

// Echo sends everything back once the peer has said all.
func Echo(c *net.TCPConn) {
	b, err := io.ReadAll(c)
	if err == nil {
		_, _ = c.Write(b)
	}
}

// Hold keeps the connection until the peer ends it.
func Hold(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }

// UnusedPort returns an address where nobody listens: it is bound, so nobody
// else can take it, but does not listen.
func UnusedPort(t testing.TB) netip.AddrPort {
	t.Helper()
	return BoundOnly(t, "127.0.0.1")
}

// To names an address as a destination.
func To(a netip.AddrPort) proxy.Destination { return proxy.Destination{Addr: a.Addr(), Port: a.Port()} }

// DialPlain connects with TCP; the connection is closed with the test.
func DialPlain(t testing.TB, addr netip.AddrPort) *net.TCPConn {
	t.Helper()
	var d net.Dialer
	d.SetMultipathTCP(false)
	c, err := d.DialContext(t.Context(), "tcp", addr.String())
	Must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	Must(t, c.SetDeadline(time.Now().Add(Patience)))
	return c.(*net.TCPConn)
}

// GreetNone is a greeting without authentication.
func GreetNone() []byte { return []byte{5, 1, 0} }

// GreetUser is a greeting with user name and password.
func GreetUser(user, password string) []byte {
	b := []byte{5, 1, 2, 1, byte(len(user))}
	b = append(b, user...)
	b = append(b, byte(len(password)))
	return append(b, password...)
}

// ConnectAddr asks for a connection to an address.
func ConnectAddr(a netip.AddrPort) []byte { return Command(1, a) }

// Command is a request of any kind.
func Command(cmd byte, a netip.AddrPort) []byte {
	atyp := byte(4)
	if a.Addr().Is4() {
		atyp = 1
	}
	b := append([]byte{5, cmd, 0, atyp}, a.Addr().AsSlice()...)
	return binary.BigEndian.AppendUint16(b, a.Port())
}

// ConnectName asks for a connection to a name.
func ConnectName(name string, port uint16) []byte {
	b := append([]byte{5, 1, 0, 3, byte(len(name))}, name...)
	return binary.BigEndian.AppendUint16(b, port)
}

// Join puts messages into one segment.
func Join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// Ask opens a SOCKS5 conversation without authentication and returns the reply.
func Ask(t testing.TB, c net.Conn, request []byte) proxy.Outcome {
	t.Helper()
	_, err := c.Write(Join(GreetNone(), request))
	Must(t, err)
	return ReadAnswer(t, c, []byte{5, 0})
}

// ReadAnswer reads the answers to a greeting and a request.
func ReadAnswer(t testing.TB, c io.Reader, greeting []byte) proxy.Outcome {
	t.Helper()
	got := make([]byte, len(greeting)+10) // all BND.ADDR in these tests are IPv4
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatalf("after % x: %v", got, err)
	}
	if !bytes.HasPrefix(got, greeting) || got[len(greeting)] != 5 {
		t.Fatalf("answer % x", got)
	}
	return proxy.Outcome(got[len(greeting)+1])
}

// Exchange writes b, ends the sending direction and returns what comes back.
func Exchange(t testing.TB, s interface {
	net.Conn
	CloseWrite() error
}, b string,
) string {
	t.Helper()
	_, err := io.WriteString(s, b)
	Must(t, err)
	Must(t, s.CloseWrite())
	got, err := io.ReadAll(s)
	Must(t, err)
	return string(got)
}

// Log collects what is logged.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write is io.Writer's.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns what was logged.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// NewLog returns a logger, and what it writes.
func NewLog() (*Log, *slog.Logger) {
	l := new(Log)
	return l, slog.New(slog.NewTextHandler(l, nil))
}
