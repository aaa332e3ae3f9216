package proxy

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
)

// patience bounds every wait of these tests. None of them waits for it unless
// something is wrong.
const patience = 20 * time.Second

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

// testAuth knows users by "user" or "user+mode"; open listeners take anybody.
type testAuth struct {
	open   bool
	tokens map[string]string
}

func (a testAuth) Open() bool { return a.open }

func (a testAuth) Authenticate(user, password string) (Identity, error) {
	name, mode, _ := strings.Cut(user, "+")
	if mode == "" {
		mode = "aggregate"
	}
	if a.open {
		return Identity{User: name, Mode: mode}, nil
	}
	if token, ok := a.tokens[name]; !ok || token != password {
		return Identity{}, fmt.Errorf("%w: user %q", ErrAuthenticationFailed, name)
	}
	return Identity{User: name, Mode: mode}, nil
}

var alice = testAuth{tokens: map[string]string{"alice": "token", "bob": "token"}}

// newKey makes a server key and the pin of it.
func newKey(t testing.TB) (tls.Certificate, Pin) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until f holds, for what no event tells.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// await receives from a channel, or fails.
func await[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("never: %s", what)
		panic("unreachable")
	}
}

// running is a front or a concentrator in its own goroutine.
type running struct {
	addr netip.AddrPort
	stop context.CancelFunc
	done chan error
}

type server interface {
	Run(context.Context) error
	Ready() <-chan struct{}
	Addrs() []netip.AddrPort
}

// start runs s until the test is over, and waits for its end.
func start(t testing.TB, s server) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{stop: cancel, done: make(chan error, 1)}
	go r.run(ctx, s)
	t.Cleanup(func() {
		cancel()
		if err := await(t, "the end of Run", r.done); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-s.Ready():
	case err := <-r.done:
		r.done <- err
		t.Fatal(err)
	}
	r.addr = s.Addrs()[0]
	return r
}

func (r *running) run(ctx context.Context, s server) { r.done <- s.Run(ctx); close(r.done) }

func concentratorConfig() ConcentratorConfig {
	return ConcentratorConfig{
		Listen: []netip.AddrPort{anyPort}, Auth: alice,
		Rules:          DestinationRules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		MaxConnections: 1000, HandshakeTimeout: patience, ConnectTimeout: patience,
	}
}

func startConcentrator(t testing.TB, change func(*ConcentratorConfig)) (*Concentrator, *running) {
	t.Helper()
	cfg := concentratorConfig()
	if change != nil {
		change(&cfg)
	}
	c := NewConcentrator(cfg)
	return c, start(t, c)
}

func upstreamTo(addr netip.AddrPort, change func(*UpstreamConfig)) *Upstream {
	cfg := UpstreamConfig{
		Host: addr.Addr().String(), Port: addr.Port(),
		Credentials:    func(mode string) (string, string) { return "alice+" + mode, "token" },
		ConnectTimeout: patience, AnswerTimeout: patience,
	}
	if change != nil {
		change(&cfg)
	}
	return NewUpstream(cfg)
}

func startFront(t testing.TB, up *Upstream, change func(*FrontConfig)) (*Front, *running) {
	t.Helper()
	cfg := FrontConfig{
		Listen: []netip.AddrPort{anyPort}, Auth: testAuth{open: true}, Upstream: up,
		MaxConnections: 1000, HandshakeTimeout: patience,
	}
	if change != nil {
		change(&cfg)
	}
	f := NewFront(cfg)
	return f, start(t, f)
}

// startDestination serves each connection with handle in a goroutine of its
// own until the test is over.
func startDestination(t testing.TB, handle func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	var wg sync.WaitGroup
	wg.Add(1)
	go serveDestination(l.(*net.TCPListener), handle, &wg)
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return addrPort(l.Addr())
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
	_ = c.SetDeadline(time.Now().Add(patience))
	handle(c)
}

// echo sends everything back once the peer has said all.
func echo(c *net.TCPConn) {
	b, err := io.ReadAll(c)
	if err == nil {
		_, _ = c.Write(b)
	}
}

// hold keeps the connection until the peer ends it.
func hold(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }

// unusedPort returns an address where nobody listens: it is bound, so nobody
// else can take it, but does not listen.
func unusedPort(t testing.TB) netip.AddrPort {
	t.Helper()
	return boundOnly(t, "127.0.0.1")
}

func to(a netip.AddrPort) Destination { return Destination{Addr: a.Addr(), Port: a.Port()} }

// dialPlain connects with TCP; the connection is closed with the test.
func dialPlain(t testing.TB, addr netip.AddrPort) *net.TCPConn {
	t.Helper()
	var d net.Dialer
	d.SetMultipathTCP(false)
	c, err := d.DialContext(t.Context(), "tcp", addr.String())
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.SetDeadline(time.Now().Add(patience)))
	return c.(*net.TCPConn)
}

// Bytes of RFC 1928 and RFC 1929, written out here so that the tests do not
// lean on the code that they test.

func greetNone() []byte { return []byte{5, 1, 0} }

func greetUser(user, password string) []byte {
	b := []byte{5, 1, 2, 1, byte(len(user))}
	b = append(b, user...)
	b = append(b, byte(len(password)))
	return append(b, password...)
}

func connectAddr(a netip.AddrPort) []byte { return command(1, a) }

func command(cmd byte, a netip.AddrPort) []byte {
	atyp := byte(4)
	if a.Addr().Is4() {
		atyp = 1
	}
	b := append([]byte{5, cmd, 0, atyp}, a.Addr().AsSlice()...)
	return binary.BigEndian.AppendUint16(b, a.Port())
}

func connectName(name string, port uint16) []byte {
	b := append([]byte{5, 1, 0, 3, byte(len(name))}, name...)
	return binary.BigEndian.AppendUint16(b, port)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// ask opens a SOCKS5 conversation without authentication and returns the reply.
func ask(t testing.TB, c net.Conn, request []byte) Reply {
	t.Helper()
	_, err := c.Write(join(greetNone(), request))
	must(t, err)
	return readAnswer(t, c, []byte{5, 0})
}

// readAnswer reads the answers to a greeting and a request.
func readAnswer(t testing.TB, c io.Reader, greeting []byte) Reply {
	t.Helper()
	got := make([]byte, len(greeting)+10) // all BND.ADDR in these tests are IPv4
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatalf("after % x: %v", got, err)
	}
	if !bytes.HasPrefix(got, greeting) || got[len(greeting)] != 5 {
		t.Fatalf("answer % x", got)
	}
	return Reply(got[len(greeting)+1])
}

// exchange writes b, ends the sending direction and returns what comes back.
func exchange(t testing.TB, s interface {
	net.Conn
	CloseWrite() error
}, b string,
) string {
	t.Helper()
	_, err := io.WriteString(s, b)
	must(t, err)
	must(t, s.CloseWrite())
	got, err := io.ReadAll(s)
	must(t, err)
	return string(got)
}

// testLog collects what is logged.
type testLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newLog() (*testLog, *slog.Logger) {
	l := new(testLog)
	return l, slog.New(slog.NewTextHandler(l, nil))
}
