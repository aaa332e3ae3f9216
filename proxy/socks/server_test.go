package socks

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"mpproxy/proxy"
	. "mpproxy/proxy/proxytest"

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

var handshakes = []struct {
	name   string
	auth   Auth
	in     []byte
	want   proxy.Flow // early data included; How is that of Who
	answer []byte     // before the reply, or the refusal
	err    error
}{
	{
		name: "IPv4 without authentication", auth: Auth{Anybody: true},
		in:   Join(GreetNone(), ConnectAddr(V4)),
		want: proxy.Flow{Who: proxy.Identity{Mode: "aggregate"}, To: proxy.Destination{Addr: V4.Addr(), Port: 443}}, answer: []byte{5, 0},
	},
	{
		name: "IPv6", auth: Auth{Anybody: true},
		in:   Join(GreetNone(), ConnectAddr(V6)),
		want: proxy.Flow{Who: proxy.Identity{Mode: "aggregate"}, To: proxy.Destination{Addr: V6.Addr(), Port: 8080}}, answer: []byte{5, 0},
	},
	{
		name: "IPv4-mapped", auth: Auth{Anybody: true},
		in:   Join(GreetNone(), ConnectAddr(netip.MustParseAddrPort("[::ffff:192.0.2.1]:443"))),
		want: proxy.Flow{Who: proxy.Identity{Mode: "aggregate"}, To: proxy.Destination{Addr: V4.Addr(), Port: 443}}, answer: []byte{5, 0},
	},
	{
		name: "name", auth: Auth{Anybody: true},
		in:   Join(GreetNone(), ConnectName("www.example.net", 80)),
		want: proxy.Flow{Who: proxy.Identity{Mode: "aggregate"}, To: proxy.Destination{Name: "www.example.net", Port: 80}}, answer: []byte{5, 0},
	},
	{
		name: "longest name", auth: Auth{Anybody: true},
		in:   Join(GreetNone(), ConnectName(strings.Repeat("n", 255), 65535)),
		want: proxy.Flow{Who: proxy.Identity{Mode: "aggregate"}, To: proxy.Destination{Name: strings.Repeat("n", 255), Port: 65535}}, answer: []byte{5, 0},
	},
	{
		name: "IPv4 literal sent as a name", auth: Auth{Anybody: true},
		in:   Join(GreetNone(), ConnectName("192.0.2.1", 443)),
		want: proxy.Flow{Who: proxy.Identity{Mode: "aggregate"}, To: proxy.Destination{Addr: V4.Addr(), Port: 443}}, answer: []byte{5, 0},
	},
	{
		name: "IPv6 literal with a zone sent as a name", auth: Auth{Anybody: true},
		in:   Join(GreetNone(), ConnectName("2001:db8::1%eth0", 443)),
		want: proxy.Flow{Who: proxy.Identity{Mode: "aggregate"}, To: proxy.Destination{Addr: V6.Addr(), Port: 443}}, answer: []byte{5, 0},
	},
	{
		name: "IPv6 literal in brackets", auth: Auth{Anybody: true},
		in:   Join(GreetNone(), ConnectName("[2001:db8::1]", 8080)),
		want: proxy.Flow{Who: proxy.Identity{Mode: "aggregate"}, To: proxy.Destination{Addr: V6.Addr(), Port: 8080}}, answer: []byte{5, 0},
	},
	{
		name: "IPv6 literal with a zone in brackets", auth: Auth{Anybody: true},
		in:   Join(GreetNone(), ConnectName("[2001:db8::1%25eth0]", 8080)),
		want: proxy.Flow{Who: proxy.Identity{Mode: "aggregate"}, To: proxy.Destination{Addr: V6.Addr(), Port: 8080}}, answer: []byte{5, 0},
	},
	{
		name: "IPv4-mapped literal in brackets", auth: Auth{Anybody: true},
		in:   Join(GreetNone(), ConnectName("[::ffff:192.0.2.1]", 443)),
		want: proxy.Flow{Who: proxy.Identity{Mode: "aggregate"}, To: proxy.Destination{Addr: V4.Addr(), Port: 443}}, answer: []byte{5, 0},
	},
	{
		name: "half a pair of brackets", auth: Auth{Anybody: true},
		in:   Join(GreetNone(), ConnectName("[2001:db8::1", 8080)),
		want: proxy.Flow{Who: proxy.Identity{Mode: "aggregate"}, To: proxy.Destination{Name: "[2001:db8::1", Port: 8080}}, answer: []byte{5, 0},
	},
	{
		name: "IPv4 literal in brackets", auth: Auth{Anybody: true},
		in:   Join(GreetNone(), ConnectName("[192.0.2.1]", 443)),
		want: proxy.Flow{Who: proxy.Identity{Mode: "aggregate"}, To: proxy.Destination{Name: "[192.0.2.1]", Port: 443}}, answer: []byte{5, 0},
	},
	{
		name: "user and token", auth: Alice,
		in:   Join(GreetUser("alice+handover", "token"), ConnectAddr(V4)),
		want: proxy.Flow{Who: proxy.Identity{User: "alice", Mode: "handover"}, To: proxy.Destination{Addr: V4.Addr(), Port: 443}}, answer: []byte{5, 2, 1, 0},
	},
	{
		name: "user name first when both are offered", auth: Auth{Anybody: true},
		in:   Join([]byte{5, 2, 0, 2, 1, 12}, []byte("+interactive"), []byte{0}, ConnectAddr(V4)),
		want: proxy.Flow{Who: proxy.Identity{Mode: "interactive"}, To: proxy.Destination{Addr: V4.Addr(), Port: 443}}, answer: []byte{5, 2, 1, 0},
	},
	{
		name: "all methods offered", auth: Auth{Anybody: true},
		in:   Join([]byte{5, 255}, allMethods(), []byte{1, 1, 'x', 0}, ConnectAddr(V4)),
		want: proxy.Flow{Who: proxy.Identity{User: "x", Mode: "aggregate"}, To: proxy.Destination{Addr: V4.Addr(), Port: 443}}, answer: []byte{5, 2, 1, 0},
	},
	{
		name: "longest user name and password", auth: Auth{Tokens: map[string]string{strings.Repeat("u", 255): strings.Repeat("p", 255)}},
		in:   Join(GreetUser(strings.Repeat("u", 255), strings.Repeat("p", 255)), ConnectAddr(V4)),
		want: proxy.Flow{Who: proxy.Identity{User: strings.Repeat("u", 255), Mode: "aggregate"}, To: proxy.Destination{Addr: V4.Addr(), Port: 443}}, answer: []byte{5, 2, 1, 0},
	},
	{
		name: "early data", auth: Auth{Anybody: true},
		in:   Join(GreetNone(), ConnectAddr(V4), []byte("GET / HTTP/1.0\r\n\r\n")),
		want: proxy.Flow{Who: proxy.Identity{Mode: "aggregate"}, To: proxy.Destination{Addr: V4.Addr(), Port: 443}, Early: []byte("GET / HTTP/1.0\r\n\r\n")}, answer: []byte{5, 0},
	},
	{name: "wrong token", auth: Alice, in: Join(GreetUser("alice", "wrong"), ConnectAddr(V4)), answer: []byte{5, 2, 1, 1}, err: proxy.ErrAuthenticationFailed},
	{name: "unknown user", auth: Alice, in: Join(GreetUser("eve", "token"), ConnectAddr(V4)), answer: []byte{5, 2, 1, 1}, err: proxy.ErrAuthenticationFailed},
	{name: "empty token", auth: Alice, in: Join(GreetUser("alice", ""), ConnectAddr(V4)), answer: []byte{5, 2, 1, 1}, err: proxy.ErrAuthenticationFailed},
	{name: "no user name where one is needed", auth: Alice, in: Join(GreetNone(), ConnectAddr(V4)), answer: []byte{5, 255}, err: proxy.ErrAuthenticationFailed},
	{name: "no method at all", auth: Auth{Anybody: true}, in: []byte{5, 0}, answer: []byte{5, 255}, err: proxy.ErrAuthenticationFailed},
	{name: "BIND", auth: Auth{Anybody: true}, in: Join(GreetNone(), Command(2, V4)), answer: refusal(7), err: ErrUnsupportedCommand},
	{name: "UDP ASSOCIATE", auth: Auth{Anybody: true}, in: Join(GreetNone(), Command(3, V4)), answer: refusal(7), err: ErrUnsupportedCommand},
	{name: "unknown command", auth: Auth{Anybody: true}, in: Join(GreetNone(), Command(9, V4)), answer: refusal(7), err: ErrUnsupportedCommand},
	{name: "unknown address type", auth: Auth{Anybody: true}, in: Join(GreetNone(), []byte{5, 1, 0, 2, 1, 1, 1, 1, 0, 80}), answer: refusal(8), err: ErrProtocol},
	{name: "empty name", auth: Auth{Anybody: true}, in: Join(GreetNone(), ConnectName("", 80)), answer: refusal(1), err: ErrProtocol},
	{name: "SOCKS4", auth: Auth{Anybody: true}, in: []byte{4, 1, 0, 80, 192, 0, 2, 1, 0}, err: ErrProtocol},
	{name: "HTTP", auth: Auth{Anybody: true}, in: []byte("GET / HTTP/1.1\r\n\r\n"), err: ErrProtocol},
	{name: "TLS", auth: Auth{Anybody: true}, in: []byte{22, 3, 1, 2, 0, 1}, err: ErrProtocol},
	{name: "wrong version of the authentication", auth: Alice, in: []byte{5, 1, 2, 5, 1, 'a', 0}, answer: []byte{5, 2}, err: ErrProtocol},
	{name: "wrong version of the request", auth: Auth{Anybody: true}, in: Join(GreetNone(), []byte{4, 1, 0, 1, 1, 1, 1, 1, 0, 80}), answer: []byte{5, 0}, err: ErrProtocol},
	{name: "nothing", auth: Auth{Anybody: true}, err: proxy.ErrPeerLeft},
	{name: "left after it was known", auth: Alice, in: GreetUser("alice", "token"), answer: []byte{5, 2, 1, 0}, err: proxy.ErrPeerLeft},
	{name: "left in its greeting", auth: Alice, in: []byte{5, 2}, err: ErrProtocol},
	{name: "left in its token", auth: Alice, in: GreetUser("alice", "token")[:8], answer: []byte{5, 2}, err: ErrProtocol},
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
				got, err := (&Server{Auth: tt.auth}).Handshake(t.Context(), c)
				if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
					t.Fatalf("got error %v, want %v", err, tt.err)
				}
				if err != nil {
					if diff := cmp.Diff(tt.answer, c.out.Bytes(), cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("answers (-want +got):\n%s", diff)
					}
					return
				}
				all := Join(c.out.Bytes(), got.held)
				if diff := cmp.Diff(tt.answer, all); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
				left, _ := io.ReadAll(in)
				got.Early = append(got.Early, left...)
				want := tt.want
				want.How.Mode = want.Who.Mode
				got.Answer = nil
				if diff := cmp.Diff(want, got.Flow, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
					t.Errorf("request (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestHandshakeOneFlight checks that a conversation in one segment costs one
// read and, with the reply, one write.
func TestHandshakeOneFlight(t *testing.T) {
	c := &scriptConn{in: bytes.NewReader(Join(GreetUser("alice", "token"), ConnectAddr(V4)))}
	req, err := (&Server{Auth: Alice}).Handshake(t.Context(), c)
	Must(t, err)
	Must(t, req.Answer(proxy.Succeeded, V6))
	want := Join([]byte{5, 2, 1, 0, 5, 0, 0, 4}, V6.Addr().AsSlice(), []byte{8080 >> 8, 8080 & 255})
	if diff := cmp.Diff(want, c.out.Bytes()); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if c.reads != 1 || c.sends != 1 {
		t.Errorf("%d reads and %d writes, want one each", c.reads, c.sends)
	}
}

// TestNeverAsk: who offers to go without a user name, and to show one, is asked for none;
// who insists on showing one may.
func TestNeverAsk(t *testing.T) {
	for _, tt := range []struct {
		name      string
		auth      Auth
		in        []byte
		answer    []byte
		user      string
		forbidden bool
	}{
		{"both offered", Auth{Anybody: true}, Join([]byte{5, 2, 0, 2}, ConnectAddr(V4)), []byte{5, 0}, "", false},
		{"both offered, the name first", Auth{Anybody: true}, Join([]byte{5, 2, 2, 0}, ConnectAddr(V4)), []byte{5, 0}, "", false},
		{"a name alone", Auth{Anybody: true}, Join(GreetUser("root", ""), ConnectAddr(V4)), []byte{5, 2, 1, 0}, "root", false},
		{"nobody may", Alice, Join([]byte{5, 2, 0, 2}, ConnectAddr(V4)), []byte{5, 2}, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &scriptConn{in: bytes.NewReader(tt.in)}
			req, err := (&Server{Auth: tt.auth, NeverAsk: true}).Handshake(t.Context(), c)
			if tt.forbidden {
				if err == nil || !bytes.Equal(c.out.Bytes(), tt.answer) {
					t.Errorf("let in, or answered % x: %v", c.out.Bytes(), err)
				}
				return
			}
			Must(t, err)
			if !bytes.Equal(req.held, tt.answer) || req.Who.User != tt.user {
				t.Errorf("user %q, answer % x", req.Who.User, req.held)
			}
		})
	}
}

// TestWrongVersionAtOnce checks that a peer of another protocol is not waited
// for.
func TestWrongVersionAtOnce(t *testing.T) {
	c := &scriptConn{in: strings.NewReader("G"), err: errors.New("it would wait here")}
	if _, err := (&Server{Auth: Alice}).Handshake(t.Context(), c); !errors.Is(err, ErrProtocol) || c.reads != 1 {
		t.Errorf("after %d reads: %v", c.reads, err)
	}
}

func TestOtherProtocolIsNamed(t *testing.T) {
	for in, want := range map[string]string{"\x04\x01": "SOCKS4", "\x16\x03": "TLS", "CONNECT": "HTTP", "\x00": "byte 0"} {
		_, err := (&Server{Auth: Alice}).Handshake(t.Context(), &scriptConn{in: strings.NewReader(in)})
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
		c := &scriptConn{in: bytes.NewReader(Join(GreetUser("alice", tt.token), ConnectAddr(V4)))}
		_, _ = (&Server{Auth: Alice, OnFailure: func(context.Context) { calls++; sent = c.out.Len() }}).Handshake(t.Context(), c)
		if calls != tt.want || sent > 0 {
			t.Errorf("token %q: %d calls, want %d; %d bytes were sent before", tt.token, calls, tt.want, sent)
		}
	}
}

// TestHandshakeCut checks that the reason of a read that failed is not lost,
// wherever in the conversation that is.
func TestHandshakeCut(t *testing.T) {
	in := Join(GreetUser("alice", "token"), ConnectName("www.example.net", 80))
	for _, cause := range []error{os.ErrDeadlineExceeded, errors.New("reset")} {
		for n := range in {
			c := &scriptConn{in: bytes.NewReader(in[:n]), err: cause}
			if _, err := (&Server{Auth: Alice}).Handshake(t.Context(), c); !errors.Is(err, cause) {
				t.Errorf("after %d bytes: %v does not tell %v", n, err, cause)
			}
		}
	}
}

func TestDestinationString(t *testing.T) {
	for _, tt := range []struct {
		d    proxy.Destination
		want string
	}{
		{proxy.Destination{Addr: V4.Addr(), Port: 1}, "192.0.2.1:1"},
		{proxy.Destination{Addr: V6.Addr(), Port: 65535}, "[2001:db8::1]:65535"},
		{proxy.Destination{Name: "www.example.net", Port: 80}, "www.example.net:80"},
	} {
		if got := tt.d.String(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

// TestFlight checks that what the client sends is what the concentrator reads.
func TestFlight(t *testing.T) {
	for _, to := range []proxy.Destination{
		{Addr: V4.Addr(), Port: 1}, {Addr: V6.Addr(), Port: 2}, {Name: strings.Repeat("n", 255), Port: 3},
	} {
		for _, cred := range []Credentials{{}, {User: "alice+lazy", Password: "token", Frames: false}, {User: "alice+lazy", Password: "token", Frames: true}} {
			auth := Alice
			auth.Anybody = cred.User == ""
			for _, frames := range []bool{false, true} {
				c := &scriptConn{in: bytes.NewReader(cred.Flight(to))}
				got, err := (&Server{Auth: auth, Frames: frames}).Handshake(t.Context(), c)
				if err != nil || got.To != to || got.Early != nil || got.Framed != (frames && cred.Frames) {
					t.Errorf("%v: got %+v, %v", to, got, err)
				}
			}
		}
	}
}

func TestReadGreeting(t *testing.T) {
	user, framing := Credentials{User: "alice", Password: "token", Frames: false}, Credentials{User: "alice", Password: "token", Frames: true}
	for _, tt := range []struct {
		name string
		cred Credentials
		in   []byte
		err  error
		left int // bytes that are not the greeting's
		// framed: the server took the method that was offered beside the plain one.
		framed bool
	}{
		{"none", Credentials{}, []byte{5, 0, 9, 9}, nil, 2, false},
		{"token", user, []byte{5, 2, 1, 0, 9, 9}, nil, 2, false},
		{"refused", user, []byte{5, 2, 1, 1}, ErrTokenRefused, 0, false},
		{"no such method", user, []byte{5, 255}, ErrTokenRefused, 0, false},
		{"another method", user, []byte{5, 0, 0, 0}, ErrProtocol, 0, false},
		{"another protocol", user, []byte("HTTP"), ErrProtocol, 0, false},
		{"cut", user, []byte{5, 2, 1}, io.ErrUnexpectedEOF, 0, false},
		{"framed", framing, []byte{5, methodFramed, 1, 0, 9, 9}, nil, 2, true},
		{"ready", framing, []byte{5, methodReady, 1, 0, 9, 9}, nil, 2, true},
		{"frames are not known", framing, []byte{5, 2, 1, 0, 9, 9}, nil, 2, false},
		{"framed and refused", framing, []byte{5, methodFramed, 1, 1}, ErrTokenRefused, 0, false},
		{"framed unasked", user, []byte{5, methodFramed, 1, 0}, ErrProtocol, 0, false},
		{"nothing", user, nil, io.ErrUnexpectedEOF, 0, false},
	} {
		for name, piece := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader} {
			r := bytes.NewReader(tt.in)
			agreed, err := tt.cred.ReadGreeting(piece(r))
			if want := (Agreed{Framed: tt.framed, Ready: tt.name == "ready"}); agreed != want {
				t.Errorf("%s, %s: agreed %+v", tt.name, name, agreed)
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
		reply proxy.Outcome
		bound netip.AddrPort
		err   error
	}{
		{"IPv4", Join([]byte{5, 0, 0, 1}, V4.Addr().AsSlice(), []byte{1, 187}), proxy.Succeeded, V4, nil},
		{"IPv6", Join([]byte{5, 5, 0, 4}, V6.Addr().AsSlice(), []byte{31, 144}), proxy.ConnectionRefused, V6, nil},
		{"name", []byte{5, 200, 0, 3, 1, 'x', 0, 80}, 200, netip.AddrPort{}, nil},
		{"empty name", []byte{5, 1, 0, 3, 0, 0, 80}, proxy.GeneralFailure, netip.AddrPort{}, nil},
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
			reply, bound, err := ReadReply(piece(r), false)
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
		_, _, err := ReadReply(c, false)
		if !errors.Is(err, os.ErrDeadlineExceeded) || proxy.OutcomeOf(err) != proxy.TTLExpired {
			t.Errorf("after %d bytes: %v, %v", n, err, proxy.OutcomeOf(err))
		}
	}
}
