package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"

	socks5 "github.com/things-go/go-socks5"
	"github.com/things-go/go-socks5/statute"
)

// This file is the only one that knows go-socks5. The library parses and
// authenticates; accepting, deadlines, dialling, replies and pumping are ours,
// because its own Serve has no deadlines and maps errors by their text.

// Destination is where an application wants to go: a name, which travels
// unresolved to the concentrator, or an address.
type Destination struct {
	Name string     // host name; empty when Addr is set
	Addr netip.Addr // unmapped; invalid when Name is set
	Port uint16
}

// String returns host:port, with brackets around an IPv6 address.
func (d Destination) String() string {
	return net.JoinHostPort(d.Host(), strconv.Itoa(int(d.Port)))
}

// Host returns the name or the address.
func (d Destination) Host() string {
	if d.Name != "" {
		return d.Name
	}
	return d.Addr.String()
}

// Identity is whom a peer authenticated as, and what it asked for.
type Identity struct {
	User string
	Mode string // never empty: the authenticator fills in the default
}

// Authenticator decides who may use a listener. Implementations are safe for
// concurrent use and return quickly; slowing failures down is the caller's.
type Authenticator interface {
	// Open reports whether a peer may go on without a user name.
	Open() bool
	// Authenticate returns the identity behind a user name (which may carry a
	// mode, "alice+handover") and password. Open listeners are asked with
	// two empty strings for a peer that offered no user name.
	Authenticate(user, password string) (Identity, error)
}

// Errors of a SOCKS5 handshake, to be told apart with errors.Is.
var (
	ErrAuthenticationFailed = errors.New("authentication failed")
	ErrUnsupportedCommand   = errors.New("only CONNECT is supported")
	ErrProtocol             = errors.New("not a valid SOCKS5 conversation")
	// ErrPeerLeft: the peer closed the connection before it asked for anything,
	// at once or after it had shown who it is (Upstream.Check does).
	ErrPeerLeft = errors.New("peer left during the handshake")
)

// request is what a peer asked for in a complete handshake.
type request struct {
	Identity
	to    Destination
	early []byte // bytes that the peer sent behind its request without waiting
	held  []byte // answers of the handshake that no one waits for yet
}

// answer sends the reply, and what the handshake still held, as one segment.
// bound is the address that RFC 1928 calls BND.ADDR, and may be invalid.
func (r *request) answer(w io.Writer, reply Reply, bound netip.AddrPort) error {
	m := statute.Reply{Version: statute.VersionSocks5, Response: byte(reply)}
	m.BndAddr = addrSpec(Destination{Addr: bound.Addr().Unmap(), Port: bound.Port()})
	b := append(r.held, m.Bytes()...)
	r.held = nil
	_, err := w.Write(b)
	return err
}

// handshaker runs the server side of RFC 1928 and RFC 1929 on one connection
// after the other. It is safe for concurrent use.
type handshaker struct {
	server *socks5.Server
}

// newHandshaker returns a handshaker that asks auth and calls onFailure (nil:
// nothing) before it answers a peer whose credentials were wrong.
func newHandshaker(auth Authenticator, onFailure func()) *handshaker {
	// User names first: curl offers both methods when it has a user name, and
	// the user name carries the mode.
	methods := []socks5.Authenticator{userPass{auth, onFailure}}
	if auth.Open() {
		methods = append(methods, noAuth{auth})
	}
	refuse := func(_ context.Context, w io.Writer, r *socks5.Request) error {
		if err := socks5.SendReply(w, byte(ReplyCommandNotSupported), nil); err != nil {
			return err
		}
		return fmt.Errorf("%w: the peer asked for command %d", ErrUnsupportedCommand, r.Command)
	}
	return &handshaker{server: socks5.NewServer(
		socks5.WithAuthMethods(methods),
		socks5.WithResolver(unresolved{}),
		socks5.WithConnectHandle(takeRequest),
		socks5.WithBindHandle(refuse),
		socks5.WithAssociateHandle(refuse),
	)}
}

// handshake reads one request from conn, which keeps its deadlines and stays
// open: the caller answers the request and owns conn again.
func (h *handshaker) handshake(conn net.Conn) (*request, error) {
	hc := &handshakeConn{Conn: conn}
	err := h.server.ServeConn(hc)
	if err == nil && hc.request != nil {
		hc.request.held = hc.held
		return hc.request, nil
	}
	_ = hc.flush() // the refusal; the peer may be gone, and err says more
	if hc.authErr != nil {
		return nil, hc.authErr
	}
	if hc.ended && (hc.read == 0 || hc.identity != Identity{}) {
		return nil, ErrPeerLeft
	}
	return nil, handshakeError(err)
}

func handshakeError(err error) error {
	var ne net.Error
	switch {
	case errors.Is(err, ErrUnsupportedCommand):
		return err
	case errors.As(err, &ne) && ne.Timeout():
		return fmt.Errorf("handshake not complete in time: %w", err)
	case err == nil:
		return ErrProtocol
	}
	return fmt.Errorf("%w: %w", ErrProtocol, err)
}

// takeRequest is the library's CONNECT handler: it only keeps what was asked.
func takeRequest(_ context.Context, w io.Writer, r *socks5.Request) error {
	hc := w.(*handshakeConn)
	to := Destination{Name: r.DestAddr.FQDN, Port: uint16(r.DestAddr.Port)}
	if to.Name == "" {
		addr, ok := netip.AddrFromSlice(r.DestAddr.IP)
		if !ok {
			return ErrProtocol
		}
		to.Addr = addr.Unmap()
	} else if addr, err := netip.ParseAddr(to.Name); err == nil {
		// Some clients send an address literal as a name.
		to = Destination{Addr: addr.Unmap().WithZone(""), Port: to.Port}
	}
	req := &request{Identity: hc.identity, to: to}
	if br, ok := r.Reader.(*bufio.Reader); ok && br.Buffered() > 0 {
		req.early = make([]byte, br.Buffered())
		if _, err := io.ReadFull(br, req.early); err != nil {
			return err
		}
	}
	hc.request = req
	return nil
}

func addrSpec(d Destination) statute.AddrSpec {
	spec := statute.AddrSpec{FQDN: d.Name, Port: int(d.Port), AddrType: statute.ATYPDomain}
	switch {
	case d.Name != "":
	case !d.Addr.IsValid():
		spec.AddrType, spec.IP = statute.ATYPIPv4, net.IPv4zero
	case d.Addr.Is4():
		spec.AddrType, spec.IP = statute.ATYPIPv4, d.Addr.AsSlice()
	default:
		spec.AddrType, spec.IP = statute.ATYPIPv6, d.Addr.AsSlice()
	}
	return spec
}

// credentials are what the client shows to the concentrator; an empty user
// means that no authentication is offered.
type credentials struct{ user, password string }

// greeting returns the bytes that open a conversation with the concentrator:
// method selection, and the user name and password right behind it.
func (c credentials) greeting() []byte {
	if c.user == "" {
		return statute.NewMethodRequest(statute.VersionSocks5, []byte{statute.MethodNoAuth}).Bytes()
	}
	b := statute.NewMethodRequest(statute.VersionSocks5, []byte{statute.MethodUserPassAuth}).Bytes()
	return append(b, statute.NewUserPassRequest(statute.UserPassAuthVersion, []byte(c.user), []byte(c.password)).Bytes()...)
}

// flight returns greeting, authentication and request as one segment.
func (c credentials) flight(to Destination) []byte {
	req := statute.Request{Version: statute.VersionSocks5, Command: statute.CommandConnect, DstAddr: addrSpec(to)}
	return append(c.greeting(), req.Bytes()...)
}

// readGreeting reads the answers to greeting.
func (c credentials) readGreeting(r io.Reader) error {
	m, err := statute.ParseMethodReply(r)
	if err != nil {
		return fmt.Errorf("reading the concentrator's greeting: %w", err)
	}
	want := byte(statute.MethodNoAuth)
	if c.user != "" {
		want = statute.MethodUserPassAuth
	}
	switch {
	case m.Ver != statute.VersionSocks5:
		return fmt.Errorf("%w: the server's first byte is %d instead of 5", ErrProtocol, m.Ver)
	case m.Method == statute.MethodNoAcceptable:
		return fmt.Errorf("%w: the server does not take this kind of authentication", ErrTokenRefused)
	case m.Method != want:
		return fmt.Errorf("%w: the server chose authentication method %d, offered was %d", ErrProtocol, m.Method, want)
	case c.user == "":
		return nil
	}
	a, err := statute.ParseUserPassReply(r)
	if err != nil {
		return fmt.Errorf("reading the concentrator's answer to the token: %w", err)
	}
	if a.Status != statute.AuthSuccess {
		return ErrTokenRefused
	}
	return nil
}

// readReply reads the answer to a request; the address is BND.ADDR when the
// concentrator sent one in numbers.
func readReply(r io.Reader) (Reply, netip.AddrPort, error) {
	rep, err := statute.ParseReply(r)
	if err != nil {
		return 0, netip.AddrPort{}, fmt.Errorf("reading the concentrator's reply: %w", err)
	}
	addr, _ := netip.AddrFromSlice(rep.BndAddr.IP)
	return Reply(rep.Response), netip.AddrPortFrom(addr.Unmap(), uint16(rep.BndAddr.Port)), nil
}

// unresolved keeps names as they are: the concentrator resolves them.
type unresolved struct{}

func (unresolved) Resolve(ctx context.Context, _ string) (context.Context, net.IP, error) {
	return ctx, nil, nil
}

// userPass and noAuth put our Authenticator under the library's interface and
// keep the identity on the connection.
type userPass struct {
	auth      Authenticator
	onFailure func()
}

func (userPass) GetCode() uint8 { return statute.MethodUserPassAuth }

func (u userPass) Authenticate(r io.Reader, w io.Writer, from string) (*socks5.AuthContext, error) {
	hc := w.(*handshakeConn)
	return socks5.UserPassAuthenticator{Credentials: checker{u, hc}}.Authenticate(r, w, from)
}

type checker struct {
	userPass
	hc *handshakeConn
}

func (c checker) Valid(user, password, _ string) bool {
	c.hc.identity, c.hc.authErr = c.auth.Authenticate(user, password)
	if c.hc.authErr != nil && c.onFailure != nil {
		c.onFailure()
	}
	return c.hc.authErr == nil
}

type noAuth struct{ auth Authenticator }

func (noAuth) GetCode() uint8 { return statute.MethodNoAuth }

func (n noAuth) Authenticate(r io.Reader, w io.Writer, from string) (*socks5.AuthContext, error) {
	hc := w.(*handshakeConn)
	if hc.identity, hc.authErr = n.auth.Authenticate("", ""); hc.authErr != nil {
		return nil, hc.authErr
	}
	return socks5.NoAuthAuthenticator{}.Authenticate(r, w, from)
}

// handshakeConn lends a connection to the library for one handshake: closing
// it does nothing, and small answers are held until the next read would have
// to wait, so that answers to pipelined questions leave as one segment.
type handshakeConn struct {
	net.Conn
	identity Identity
	authErr  error
	request  *request
	held     []byte
	read     int  // bytes read so far
	ended    bool // the peer closed its side
}

func (c *handshakeConn) Close() error { return nil }

func (c *handshakeConn) Write(b []byte) (int, error) {
	c.held = append(c.held, b...)
	return len(b), nil
}

func (c *handshakeConn) Read(b []byte) (int, error) {
	if err := c.flush(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	c.read += n
	c.ended = c.ended || n == 0 && errors.Is(err, io.EOF)
	return n, err
}

func (c *handshakeConn) flush() error {
	if len(c.held) == 0 {
		return nil
	}
	b := c.held
	c.held = nil
	_, err := c.Conn.Write(b)
	return err
}
