package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// scriptConn is a peer that sends in, then its end or err. It records what it
// is sent, and when.
type scriptConn struct {
	in    io.Reader
	err   error // at the end of in; nil: io.EOF
	out   bytes.Buffer
	sends int
	reads int
}

func (c *scriptConn) Read(p []byte) (int, error) {
	c.reads++
	n, err := c.in.Read(p)
	if err == io.EOF && c.err != nil {
		err = c.err
	}
	return n, err
}

func (c *scriptConn) Write(p []byte) (int, error) {
	c.sends++
	return c.out.Write(p)
}

func (*scriptConn) Close() error                     { panic("the handshake does not own the connection") }
func (*scriptConn) LocalAddr() net.Addr              { return nil }
func (*scriptConn) RemoteAddr() net.Addr             { return nil }
func (*scriptConn) SetDeadline(time.Time) error      { panic("deadlines are the caller's") }
func (*scriptConn) SetReadDeadline(time.Time) error  { panic("deadlines are the caller's") }
func (*scriptConn) SetWriteDeadline(time.Time) error { panic("deadlines are the caller's") }

var (
	v4 = netip.MustParseAddrPort("192.0.2.1:443")
	v6 = netip.MustParseAddrPort("[2001:db8::1]:8080")
)

var handshakes = []struct {
	name   string
	auth   testAuth
	in     []byte
	want   request // early included, held not
	answer []byte  // before the reply, or the refusal
	err    error
}{
	{
		name: "IPv4 without authentication", auth: testAuth{open: true},
		in:   join(greetNone(), connectAddr(v4)),
		want: request{Identity: Identity{Mode: "aggregate"}, to: Destination{Addr: v4.Addr(), Port: 443}}, answer: []byte{5, 0},
	},
	{
		name: "IPv6", auth: testAuth{open: true},
		in:   join(greetNone(), connectAddr(v6)),
		want: request{Identity: Identity{Mode: "aggregate"}, to: Destination{Addr: v6.Addr(), Port: 8080}}, answer: []byte{5, 0},
	},
	{
		name: "IPv4-mapped", auth: testAuth{open: true},
		in:   join(greetNone(), connectAddr(netip.MustParseAddrPort("[::ffff:192.0.2.1]:443"))),
		want: request{Identity: Identity{Mode: "aggregate"}, to: Destination{Addr: v4.Addr(), Port: 443}}, answer: []byte{5, 0},
	},
	{
		name: "name", auth: testAuth{open: true},
		in:   join(greetNone(), connectName("www.example.net", 80)),
		want: request{Identity: Identity{Mode: "aggregate"}, to: Destination{Name: "www.example.net", Port: 80}}, answer: []byte{5, 0},
	},
	{
		name: "longest name", auth: testAuth{open: true},
		in:   join(greetNone(), connectName(strings.Repeat("n", 255), 65535)),
		want: request{Identity: Identity{Mode: "aggregate"}, to: Destination{Name: strings.Repeat("n", 255), Port: 65535}}, answer: []byte{5, 0},
	},
	{
		name: "IPv4 literal sent as a name", auth: testAuth{open: true},
		in:   join(greetNone(), connectName("192.0.2.1", 443)),
		want: request{Identity: Identity{Mode: "aggregate"}, to: Destination{Addr: v4.Addr(), Port: 443}}, answer: []byte{5, 0},
	},
	{
		name: "IPv6 literal with a zone sent as a name", auth: testAuth{open: true},
		in:   join(greetNone(), connectName("2001:db8::1%eth0", 443)),
		want: request{Identity: Identity{Mode: "aggregate"}, to: Destination{Addr: v6.Addr(), Port: 443}}, answer: []byte{5, 0},
	},
	{
		name: "user and token", auth: alice,
		in:   join(greetUser("alice+handover", "token"), connectAddr(v4)),
		want: request{Identity: Identity{User: "alice", Mode: "handover"}, to: Destination{Addr: v4.Addr(), Port: 443}}, answer: []byte{5, 2, 1, 0},
	},
	{
		name: "user name first when both are offered", auth: testAuth{open: true},
		in:   join([]byte{5, 2, 0, 2, 1, 12}, []byte("+interactive"), []byte{0}, connectAddr(v4)),
		want: request{Identity: Identity{Mode: "interactive"}, to: Destination{Addr: v4.Addr(), Port: 443}}, answer: []byte{5, 2, 1, 0},
	},
	{
		name: "all methods offered", auth: testAuth{open: true},
		in:   join([]byte{5, 255}, allMethods(), []byte{1, 1, 'x', 0}, connectAddr(v4)),
		want: request{Identity: Identity{User: "x", Mode: "aggregate"}, to: Destination{Addr: v4.Addr(), Port: 443}}, answer: []byte{5, 2, 1, 0},
	},
	{
		name: "longest user name and password", auth: testAuth{tokens: map[string]string{strings.Repeat("u", 255): strings.Repeat("p", 255)}},
		in:   join(greetUser(strings.Repeat("u", 255), strings.Repeat("p", 255)), connectAddr(v4)),
		want: request{Identity: Identity{User: strings.Repeat("u", 255), Mode: "aggregate"}, to: Destination{Addr: v4.Addr(), Port: 443}}, answer: []byte{5, 2, 1, 0},
	},
	{
		name: "early data", auth: testAuth{open: true},
		in:   join(greetNone(), connectAddr(v4), []byte("GET / HTTP/1.0\r\n\r\n")),
		want: request{Identity: Identity{Mode: "aggregate"}, to: Destination{Addr: v4.Addr(), Port: 443}, early: []byte("GET / HTTP/1.0\r\n\r\n")}, answer: []byte{5, 0},
	},
	{name: "wrong token", auth: alice, in: join(greetUser("alice", "wrong"), connectAddr(v4)), answer: []byte{5, 2, 1, 1}, err: ErrAuthenticationFailed},
	{name: "unknown user", auth: alice, in: join(greetUser("eve", "token"), connectAddr(v4)), answer: []byte{5, 2, 1, 1}, err: ErrAuthenticationFailed},
	{name: "empty token", auth: alice, in: join(greetUser("alice", ""), connectAddr(v4)), answer: []byte{5, 2, 1, 1}, err: ErrAuthenticationFailed},
	{name: "no user name where one is needed", auth: alice, in: join(greetNone(), connectAddr(v4)), answer: []byte{5, 255}, err: ErrAuthenticationFailed},
	{name: "no method at all", auth: testAuth{open: true}, in: []byte{5, 0}, answer: []byte{5, 255}, err: ErrAuthenticationFailed},
	{name: "BIND", auth: testAuth{open: true}, in: join(greetNone(), command(2, v4)), answer: refusal(7), err: ErrUnsupportedCommand},
	{name: "UDP ASSOCIATE", auth: testAuth{open: true}, in: join(greetNone(), command(3, v4)), answer: refusal(7), err: ErrUnsupportedCommand},
	{name: "unknown command", auth: testAuth{open: true}, in: join(greetNone(), command(9, v4)), answer: refusal(7), err: ErrUnsupportedCommand},
	{name: "unknown address type", auth: testAuth{open: true}, in: join(greetNone(), []byte{5, 1, 0, 2, 1, 1, 1, 1, 0, 80}), answer: refusal(8), err: ErrProtocol},
	{name: "empty name", auth: testAuth{open: true}, in: join(greetNone(), connectName("", 80)), answer: refusal(1), err: ErrProtocol},
	{name: "SOCKS4", auth: testAuth{open: true}, in: []byte{4, 1, 0, 80, 192, 0, 2, 1, 0}, err: ErrProtocol},
	{name: "HTTP", auth: testAuth{open: true}, in: []byte("GET / HTTP/1.1\r\n\r\n"), err: ErrProtocol},
	{name: "TLS", auth: testAuth{open: true}, in: []byte{22, 3, 1, 2, 0, 1}, err: ErrProtocol},
	{name: "wrong version of the authentication", auth: alice, in: []byte{5, 1, 2, 5, 1, 'a', 0}, answer: []byte{5, 2}, err: ErrProtocol},
	{name: "wrong version of the request", auth: testAuth{open: true}, in: join(greetNone(), []byte{4, 1, 0, 1, 1, 1, 1, 1, 0, 80}), answer: []byte{5, 0}, err: ErrProtocol},
	{name: "nothing", auth: testAuth{open: true}, err: ErrPeerLeft},
	{name: "left after it was known", auth: alice, in: greetUser("alice", "token"), answer: []byte{5, 2, 1, 0}, err: ErrPeerLeft},
	{name: "left in its greeting", auth: alice, in: []byte{5, 2}, err: ErrProtocol},
	{name: "left in its token", auth: alice, in: greetUser("alice", "token")[:8], answer: []byte{5, 2}, err: ErrProtocol},
}

// refusal is the answer to an open listener's peer whose request is refused.
func refusal(reply byte) []byte { return []byte{5, 0, 5, reply, 0, 1, 0, 0, 0, 0, 0, 0} }

func allMethods() []byte {
	b := make([]byte, 255)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func TestHandshake(t *testing.T) {
	pieces := map[string]func(io.Reader) io.Reader{
		"one segment":            func(r io.Reader) io.Reader { return r },
		"byte by byte":           iotest.OneByteReader,
		"end with the last byte": iotest.DataErrReader,
	}
	for _, tt := range handshakes {
		for name, piece := range pieces {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				in := bytes.NewReader(tt.in)
				c := &scriptConn{in: piece(in)}
				got, err := newHandshaker(tt.auth, false, nil).handshake(c)
				if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
					t.Fatalf("got error %v, want %v", err, tt.err)
				}
				if err != nil {
					if diff := cmp.Diff(tt.answer, c.out.Bytes(), cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("answers (-want +got):\n%s", diff)
					}
					return
				}
				all := join(c.out.Bytes(), got.held)
				if diff := cmp.Diff(tt.answer, all); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
				left, _ := io.ReadAll(in)
				got.early = append(got.early, left...)
				got.held = nil
				if diff := cmp.Diff(tt.want, *got, cmp.AllowUnexported(request{}), cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
					t.Errorf("request (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestHandshakeOneFlight checks that a conversation in one segment costs one
// read and, with the reply, one write.
func TestHandshakeOneFlight(t *testing.T) {
	c := &scriptConn{in: bytes.NewReader(join(greetUser("alice", "token"), connectAddr(v4)))}
	req, err := newHandshaker(alice, false, nil).handshake(c)
	must(t, err)
	must(t, req.answer(c, ReplySucceeded, v6))
	want := join([]byte{5, 2, 1, 0, 5, 0, 0, 4}, v6.Addr().AsSlice(), []byte{8080 >> 8, 8080 & 255})
	if diff := cmp.Diff(want, c.out.Bytes()); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if c.reads != 1 || c.sends != 1 {
		t.Errorf("%d reads and %d writes, want one each", c.reads, c.sends)
	}
}

// TestWrongVersionAtOnce checks that a peer of another protocol is not waited
// for.
func TestWrongVersionAtOnce(t *testing.T) {
	c := &scriptConn{in: strings.NewReader("G"), err: errors.New("it would wait here")}
	if _, err := newHandshaker(alice, false, nil).handshake(c); !errors.Is(err, ErrProtocol) || c.reads != 1 {
		t.Errorf("after %d reads: %v", c.reads, err)
	}
}

func TestOtherProtocolIsNamed(t *testing.T) {
	for in, want := range map[string]string{"\x04\x01": "SOCKS4", "\x16\x03": "TLS", "CONNECT": "HTTP", "\x00": "byte 0"} {
		_, err := newHandshaker(alice, false, nil).handshake(&scriptConn{in: strings.NewReader(in)})
		if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v does not name %s", in, err, want)
		}
	}
}

func TestFailureDelay(t *testing.T) {
	for _, tt := range []struct {
		token string
		want  int
	}{{"token", 0}, {"wrong", 1}} {
		calls, sent := 0, -1
		c := &scriptConn{in: bytes.NewReader(join(greetUser("alice", tt.token), connectAddr(v4)))}
		_, _ = newHandshaker(alice, false, func() { calls++; sent = c.out.Len() }).handshake(c)
		if calls != tt.want || sent > 0 {
			t.Errorf("token %q: %d calls, want %d; %d bytes were sent before", tt.token, calls, tt.want, sent)
		}
	}
}

// TestHandshakeCut checks that the reason of a read that failed is not lost,
// wherever in the conversation that is.
func TestHandshakeCut(t *testing.T) {
	in := join(greetUser("alice", "token"), connectName("www.example.net", 80))
	for _, cause := range []error{os.ErrDeadlineExceeded, errors.New("reset")} {
		for n := range in {
			c := &scriptConn{in: bytes.NewReader(in[:n]), err: cause}
			if _, err := newHandshaker(alice, false, nil).handshake(c); !errors.Is(err, cause) {
				t.Errorf("after %d bytes: %v does not tell %v", n, err, cause)
			}
		}
	}
}

func TestDestinationString(t *testing.T) {
	for _, tt := range []struct {
		d    Destination
		want string
	}{
		{Destination{Addr: v4.Addr(), Port: 1}, "192.0.2.1:1"},
		{Destination{Addr: v6.Addr(), Port: 65535}, "[2001:db8::1]:65535"},
		{Destination{Name: "www.example.net", Port: 80}, "www.example.net:80"},
	} {
		if got := tt.d.String(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

// TestFlight checks that what the client sends is what the concentrator reads.
func TestFlight(t *testing.T) {
	for _, to := range []Destination{
		{Addr: v4.Addr(), Port: 1}, {Addr: v6.Addr(), Port: 2}, {Name: strings.Repeat("n", 255), Port: 3},
	} {
		for _, cred := range []credentials{{}, {"alice+lazy", "token", false}, {"alice+lazy", "token", true}} {
			auth := alice
			auth.open = cred.user == ""
			for _, frames := range []bool{false, true} {
				c := &scriptConn{in: bytes.NewReader(cred.flight(to))}
				got, err := newHandshaker(auth, frames, nil).handshake(c)
				if err != nil || got.to != to || got.early != nil || got.framed != (frames && cred.frames) {
					t.Errorf("%v: got %+v, %v", to, got, err)
				}
			}
		}
	}
}

func TestReadGreeting(t *testing.T) {
	user, framing := credentials{"alice", "token", false}, credentials{"alice", "token", true}
	for _, tt := range []struct {
		name string
		cred credentials
		in   []byte
		err  error
		left int // bytes that are not the greeting's
		// framed: the server took the method that was offered beside the plain one.
		framed bool
	}{
		{"none", credentials{}, []byte{5, 0, 9, 9}, nil, 2, false},
		{"token", user, []byte{5, 2, 1, 0, 9, 9}, nil, 2, false},
		{"refused", user, []byte{5, 2, 1, 1}, ErrTokenRefused, 0, false},
		{"no such method", user, []byte{5, 255}, ErrTokenRefused, 0, false},
		{"another method", user, []byte{5, 0, 0, 0}, ErrProtocol, 0, false},
		{"another protocol", user, []byte("HTTP"), ErrProtocol, 0, false},
		{"cut", user, []byte{5, 2, 1}, io.ErrUnexpectedEOF, 0, false},
		{"framed", framing, []byte{5, methodFramed, 1, 0, 9, 9}, nil, 2, true},
		{"frames are not known", framing, []byte{5, 2, 1, 0, 9, 9}, nil, 2, false},
		{"framed and refused", framing, []byte{5, methodFramed, 1, 1}, ErrTokenRefused, 0, false},
		{"framed unasked", user, []byte{5, methodFramed, 1, 0}, ErrProtocol, 0, false},
		{"nothing", user, nil, io.ErrUnexpectedEOF, 0, false},
	} {
		for name, piece := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader} {
			r := bytes.NewReader(tt.in)
			framed, err := tt.cred.readGreeting(piece(r))
			if framed != tt.framed {
				t.Errorf("%s, %s: framed %v", tt.name, name, framed)
			}
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Errorf("%s, %s: got %v, want %v", tt.name, name, err, tt.err)
			}
			if err == nil && r.Len() != tt.left {
				t.Errorf("%s, %s: %d bytes left, want %d", tt.name, name, r.Len(), tt.left)
			}
		}
	}
}

func TestReadReply(t *testing.T) {
	for _, tt := range []struct {
		name  string
		in    []byte
		reply Reply
		bound netip.AddrPort
		err   error
	}{
		{"IPv4", join([]byte{5, 0, 0, 1}, v4.Addr().AsSlice(), []byte{1, 187}), ReplySucceeded, v4, nil},
		{"IPv6", join([]byte{5, 5, 0, 4}, v6.Addr().AsSlice(), []byte{31, 144}), ReplyConnectionRefused, v6, nil},
		{"name", []byte{5, 200, 0, 3, 1, 'x', 0, 80}, 200, netip.AddrPort{}, nil},
		{"empty name", []byte{5, 1, 0, 3, 0, 0, 80}, ReplyGeneralFailure, netip.AddrPort{}, nil},
		{"address type", []byte{5, 1, 0, 2, 0, 0, 80}, 0, netip.AddrPort{}, ErrProtocol},
		{"version", []byte{4, 1, 0, 1, 0, 0, 80}, 0, netip.AddrPort{}, ErrProtocol},
		{"cut", []byte{5, 1, 0, 1, 0, 0, 80}, 0, netip.AddrPort{}, io.ErrUnexpectedEOF},
	} {
		for name, piece := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader} {
			in := tt.in
			if tt.err == nil {
				in = append(bytes.Clone(in), "data"...)
			}
			r := bytes.NewReader(in)
			reply, bound, err := readReply(piece(r), shortestReplySize)
			if reply != tt.reply || bound != tt.bound || !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Errorf("%s, %s: got %v %v %v", tt.name, name, reply, bound, err)
			}
			if rest, _ := io.ReadAll(r); err == nil && string(rest) != "data" {
				t.Errorf("%s, %s: what follows is %q", tt.name, name, rest)
			}
		}
	}
}

// TestReplyTimeout checks that a concentrator that does not answer in time is
// told from one that answers nonsense.
func TestReplyTimeout(t *testing.T) {
	for n := range 9 {
		c := &scriptConn{in: bytes.NewReader([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0}[:n]), err: os.ErrDeadlineExceeded}
		_, _, err := readReply(c, shortestReplySize)
		if !errors.Is(err, os.ErrDeadlineExceeded) || replyFor(err) != ReplyTTLExpired {
			t.Errorf("after %d bytes: %v, %v", n, err, replyFor(err))
		}
	}
}
