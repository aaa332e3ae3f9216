package relay

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(peerEnv) != "" {
		benchPeer()
		return
	}
	if os.Getenv(idlePeerEnv) != "" {
		idlePeer()
		return
	}
	goleak.VerifyTestMain(m)
}

// patience bounds every wait in these tests.
const patience = 20 * time.Second

// runToEnd is Run, with whatever follows when it parks.
func runToEnd(ctx context.Context, a, b Stream, cfg Config, c *Counters) Result {
	end := make(chan Result, 1)
	if res, over := Run(ctx, a, b, cfg, c, func(r Result) { end <- r }); over {
		return res
	}
	return <-end
}

// link is how the two ends of a test connection are made.
type link struct {
	name  string
	mptcp bool
	tls   bool
	other bool // hide the descriptor: the generic path
	plain bool // tls without a RecordConn
	// framed connections are kept when their stream has ended.
	framed bool
}

var (
	linkTCP      = link{name: "tcp"}
	linkMPTCP    = link{name: "mptcp", mptcp: true}
	linkTLS      = link{name: "tls", mptcp: true, tls: true}
	linkPlainTLS = link{name: "plaintls", tls: true, plain: true}
	linkOther    = link{name: "other", other: true}

	linkFramed      = link{name: "framed", mptcp: true, framed: true}
	linkFramedTLS   = link{name: "framedtls", mptcp: true, tls: true, framed: true}
	linkFramedOther = link{name: "framedother", other: true, framed: true}
)

// hidden is a Stream without a descriptor to be had.
type hidden struct{ Stream }

func (h hidden) SetLinger(sec int) error { return h.Stream.(*net.TCPConn).SetLinger(sec) }

// needMPTCP skips where the kernel has no MPTCP, and fails where it should.
func needMPTCP(t testing.TB) {
	b, err := os.ReadFile("/proc/sys/net/mptcp/enabled")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("this kernel is built without MPTCP")
	}
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(b)) != "1" {
		t.Skip("net.mptcp.enabled is 0 in this network namespace")
	}
}

// dial makes a connection: near is the end that relay gets, far its peer's.
func (l link) dial(t testing.TB) (near, far Stream) {
	t.Helper()
	near, far = l.dialBare(t)
	if l.framed {
		return NewFramed(near), NewFramed(far)
	}
	return near, far
}

func (l link) dialBare(t testing.TB) (near, far Stream) {
	t.Helper()
	if l.mptcp {
		needMPTCP(t)
	}
	lc := net.ListenConfig{}
	lc.SetMultipathTCP(l.mptcp)
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d := net.Dialer{Timeout: patience}
	d.SetMultipathTCP(l.mptcp)
	c, err := d.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	near, far = c.(*net.TCPConn), s.(*net.TCPConn)
	if l.mptcp {
		if ok, err := c.(*net.TCPConn).MultipathTCP(); !ok || err != nil {
			t.Fatalf("dialled connection is not MPTCP (%v)", err)
		}
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	if l.other {
		return hidden{near}, far
	}
	if l.tls {
		return l.secure(t, near, far)
	}
	return near, far
}

func (l link) secure(t testing.TB, near, far Stream) (Stream, Stream) {
	wrap := func(s Stream) net.Conn {
		if l.plain {
			return s
		}
		return NewRecordConn(s)
	}
	srv := tls.Server(wrap(far), serverConfig())
	cli := tls.Client(wrap(near), clientConfig())
	errc := make(chan error, 1)
	go func() { errc <- srv.Handshake() }()
	if err := cli.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-errc; err != nil {
		t.Fatal(err)
	}
	return cli, srv
}

func clientConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, DynamicRecordSizingDisabled: true}
}

var serverConfig = sync.OnceValue(func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		Certificates:                []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		DynamicRecordSizingDisabled: true,
	}
})

// running is a Run in progress and the far ends of its connections.
type running struct {
	t        testing.TB
	A, B     Stream
	counters Counters
	cancel   context.CancelFunc
	result   chan Result
}

// hastyParking is one that connections are parked in after a millisecond: whatever a test
// does meets one that is about to be parked, or is.
func hastyParking(t testing.TB) *Parking {
	parking, err := NewParking(net.KeepAliveConfig{Enable: true, Idle: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	parking.after = time.Millisecond
	t.Cleanup(func() { parking.Close() })
	return parking
}

// start runs a relay between two fresh connections, which is parked whenever nothing
// moves, if cfg names no other parking.
func start(t testing.TB, la, lb link, cfg Config) *running {
	t.Helper()
	a, farA := la.dial(t)
	b, farB := lb.dial(t)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, A: farA, B: farB, cancel: cancel, result: make(chan Result, 1)}
	deadline := time.Now().Add(patience)
	farA.SetDeadline(deadline)
	farB.SetDeadline(deadline)
	if cfg.Parking == nil {
		cfg.Parking = hastyParking(t)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.result <- runToEnd(ctx, a, b, cfg, &r.counters)
	}()
	t.Cleanup(func() {
		cancel()
		farA.Close()
		farB.Close()
		<-ended
	})
	return r
}

func (r *running) wait() Result {
	r.t.Helper()
	select {
	case res := <-r.result:
		return res
	case <-time.After(patience):
		r.t.Fatal("Run did not return")
		panic("unreachable")
	}
}

// reset closes a connection so that its peer sees an error.
func reset(s Stream) {
	var e end
	e.init(s)
	e.reset()
}

// sendRandom writes n random bytes in chunks of random sizes, ends the
// direction and returns the bytes' hash.
func sendRandom(w Stream, n int, seed uint64) ([sha256.Size]byte, error) {
	rng := mrand.New(mrand.NewPCG(seed, 1))
	src := mrand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	h := sha256.New()
	buf := make([]byte, 700_000)
	for n > 0 {
		size := 1 + rng.IntN(100)
		switch rng.IntN(3) {
		case 1:
			size = 1 + rng.IntN(40_000)
		case 2:
			size = 1 + rng.IntN(len(buf))
		}
		p := buf[:min(size, n)]
		src.Read(p)
		h.Write(p)
		if _, err := w.Write(p); err != nil {
			return [32]byte{}, err
		}
		n -= len(p)
	}
	return [32]byte(h.Sum(nil)), w.CloseWrite()
}

// receive reads to the end of data.
func receive(r io.Reader) (sum [sha256.Size]byte, n int64, err error) {
	h := sha256.New()
	n, err = io.Copy(h, struct{ io.Reader }{r})
	return [32]byte(h.Sum(nil)), n, err
}
