package names

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone is a name server in memory. It answers each connection of a resolver.
type zone struct {
	mu    sync.Mutex
	asked []string // "A www.example.com."
	// What it says to such a question; nil: nothing.
	says map[string]func(*dnsmessage.Message)
	// Over TCP, as if all UDP answers were truncated.
	tcp bool
}

func (z *zone) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		if z.tcp {
			go z.serve(far, network == "udp")
			return streamOrPacket(near, network), nil
		}
		go z.serve(far, false)
		return packets{near}, nil
	}}
}

// packets makes a pipe look like UDP, streamOrPacket leaves TCP as it is.
type packets struct{ net.Conn }

func (packets) ReadFrom([]byte) (int, net.Addr, error) { panic("connected") }
func (packets) WriteTo([]byte, net.Addr) (int, error)  { panic("connected") }
func streamOrPacket(c net.Conn, network string) net.Conn {
	if network == "udp" {
		return packets{c}
	}
	return c
}

func (z *zone) serve(conn net.Conn, truncate bool) {
	defer conn.Close()
	b := make([]byte, 4096)
	n, err := conn.Read(b)
	if err != nil {
		return
	}
	stream := z.tcp && !truncate
	in := b[:n]
	if stream {
		size := int(binary.BigEndian.Uint16(in))
		for len(in) < 2+size {
			n, err := conn.Read(b[len(in):])
			if err != nil {
				return
			}
			in = b[:len(in)+n]
		}
		in = in[2:]
	}
	var m dnsmessage.Message
	if m.Unpack(in) != nil {
		return
	}
	q := m.Questions[0]
	key := strings.TrimPrefix(q.Type.String(), "Type") + " " + q.Name.String()
	m.Response, m.Additionals = true, nil
	if truncate {
		m.Truncated = true
	} else {
		z.mu.Lock()
		z.asked = append(z.asked, key)
		say := z.says[key]
		z.mu.Unlock()
		if say == nil {
			_, _ = io.Copy(io.Discard, conn) // until the resolver gives up
			return
		}
		say(&m)
	}
	out, err := m.Pack()
	if err != nil {
		return
	}
	if stream {
		out = append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...)
	}
	_, _ = conn.Write(out)
}

func (z *zone) questions() []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return slices.Clone(z.asked)
}

func header(m *dnsmessage.Message, t dnsmessage.Type, ttl uint32) dnsmessage.ResourceHeader {
	return dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: t, Class: dnsmessage.ClassINET, TTL: ttl}
}

// a answers with an IPv4 address.
func a(ttl uint32, last byte) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: header(m, dnsmessage.TypeA, ttl), Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, last}},
		})
	}
}

// none answers that there is nothing, for as long as the zone's SOA says.
func none(code dnsmessage.RCode, ttl, minimum uint32) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) {
		m.RCode = code
		m.Authorities = append(m.Authorities, dnsmessage.Resource{
			Header: header(m, dnsmessage.TypeSOA, ttl),
			Body:   &dnsmessage.SOAResource{NS: m.Questions[0].Name, MBox: m.Questions[0].Name, MinTTL: minimum},
		})
	}
}

// TestCache: an answer is used for its TTL, and no longer, whatever it says.
func TestCache(t *testing.T) {
	for _, tt := range []struct {
		name  string
		says  func(*dnsmessage.Message)
		found bool
		holds time.Duration
	}{
		{"an address", a(300, 1), true, 300 * time.Second},
		{"for long", a(1_000_000, 1), true, longest},
		{"not at all", a(0, 1), true, 0},
		{"no such name", none(dnsmessage.RCodeNameError, 600, 60), false, 60 * time.Second},
		{"no such name, for long", none(dnsmessage.RCodeNameError, 90_000, 90_000), false, longestFailure},
		{"no such type", none(dnsmessage.RCodeSuccess, 30, 60), false, 30 * time.Second},
		{"a server that fails", func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeServerFailure }, false, unknownTTL},
	} {
		for _, tcp := range []bool{false, true} {
			t.Run(tt.name+map[bool]string{true: ", TCP"}[tcp], func(t *testing.T) {
				z := &zone{tcp: tcp, says: map[string]func(*dnsmessage.Message){"A www.example.com.": tt.says}}
				r := New(z.resolver())
				now := time.Unix(1_700_000_000, 0)
				r.now = func() time.Time { return now }
				look := func() int {
					t.Helper()
					addrs, err := r.Lookup(t.Context(), "WWW.example.com", IPv4)
					var dns *net.DNSError
					if (err == nil) != tt.found || err == nil && !slices.Equal(addrs, []netip.Addr{netip.MustParseAddr("192.0.2.1")}) || err != nil && !errors.As(err, &dns) {
						t.Fatalf("got %v, %v", addrs, err)
					}
					return len(z.questions())
				}
				first := look()
				if tt.holds > 0 {
					now = now.Add(tt.holds - 1)
					if n := look(); n != first {
						t.Errorf("asked again after %v", tt.holds-1)
					}
					now = now.Add(1)
				}
				if n := look(); n == first {
					t.Errorf("not asked again after %v", tt.holds)
				}
			})
		}
	}
}

// TestNoSearch: a name is asked for as it is, whatever the host's search domains are, and
// what is none is not asked for.
func TestNoSearch(t *testing.T) {
	z := &zone{says: map[string]func(*dnsmessage.Message){}}
	for _, name := range []string{"printer.", "nonexist.test.", "a.b.c."} {
		z.says["A "+name] = none(dnsmessage.RCodeNameError, 60, 60)
	}
	r := New(z.resolver())
	var want []string
	for _, name := range []string{"printer", "nonexist.test", "nonexist.test.", "a.b.c", "a\x1b[2J.b", "x:80", "", " ", "a..b", strings.Repeat("n", 255)} {
		_, err := r.Lookup(t.Context(), name, IPv4)
		var dns *net.DNSError
		if !errors.As(err, &dns) || !dns.IsNotFound {
			t.Errorf("%q: %v", name, err)
		}
	}
	want = []string{"A printer.", "A nonexist.test.", "A a.b.c."}
	if got := z.questions(); !slices.Equal(got, want) {
		t.Errorf("asked for %q, want %q", got, want)
	}
	for _, name := range []string{"localhost", "LocalHost.", "x.localhost"} {
		got, err := r.Lookup(t.Context(), name, IPv4)
		if err != nil || !got[0].IsLoopback() {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestManyWaitForOneAnswer: a question is asked once for all who wait, and is given up
// when nobody waits any more.
func TestManyWaitForOneAnswer(t *testing.T) {
	asked, answer := make(chan bool, 10), make(chan bool)
	z := &zone{says: map[string]func(*dnsmessage.Message){"A www.example.com.": func(m *dnsmessage.Message) {
		asked <- true
		<-answer
		a(60, 1)(m)
	}}}
	r := New(z.resolver())
	errs := make(chan error, 3)
	ctx, cancel := context.WithCancel(t.Context())
	look := func(ctx context.Context) {
		_, err := r.Lookup(ctx, "www.example.com", IPv4)
		errs <- err
	}
	go look(ctx)
	<-asked
	go look(t.Context())
	for both := false; !both; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		both = r.answers[question{"www.example.com.", IPv4}].wanted == 2
		r.mu.Unlock()
	}
	cancel() // the first goes; the second has the answer nevertheless
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that left: %v", err)
	}
	close(answer)
	if err := <-errs; err != nil || len(asked) > 0 {
		t.Errorf("the one that waited: %v; asked %d times more", err, len(asked))
	}

	silent := &zone{}
	r = New(silent.resolver())
	ctx, cancel = context.WithCancel(t.Context())
	go look(ctx)
	for len(silent.questions()) == 0 {
		time.Sleep(time.Millisecond)
	}
	go func() {
		_, err := r.Lookup(ctx, "www.example.com", IPv4)
		errs <- err
	}()
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestBound: the cache does not grow without end.
func TestBound(t *testing.T) {
	r := New(&net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no server") }})
	for i := range 2 * mostEntries {
		r.mu.Lock()
		r.makeRoom()
		done := make(chan struct{})
		close(done)
		r.answers[question{name: string(rune(i)), of: IPv4}] = &answer{done: done, until: time.Now().Add(time.Hour)}
		r.mu.Unlock()
	}
	if n := len(r.answers); n > mostEntries {
		t.Errorf("%d answers are kept", n)
	}
}
