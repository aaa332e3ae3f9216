package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"

	"github.com/things-go/go-socks5/statute"
)

// This file is the only one that knows go-socks5, of which the wire formats are
// used. Its server is not: it has no deadlines, maps errors by their text, drops
// their causes, and takes a 4 KiB buffer for each handshake.

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
	// Asked is set when the peer named the mode itself.
	Asked bool
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

// methodFramed is a private method (RFC 1928 section 3). It is user name and
// password as in RFC 1929; what follows an answer that says "succeeded" is framed
// (see relay.Framed), and after both ends of that stream the client may send
// another request. A server that does not know it takes the plain method, which
// is always offered beside it.
const methodFramed = 0x9A

// request is what a peer asked for in a complete handshake.
type request struct {
	Identity
	to Destination
	// framed: the peer and we agreed on methodFramed.
	framed bool
	early  []byte // bytes that the peer sent behind its request without waiting
	held   []byte // answers of the handshake that no one waits for yet
}

// answer sends the reply, and what the handshake still held, as one segment.
// bound is the address that RFC 1928 calls BND.ADDR, and may be invalid.
func (r *request) answer(w io.Writer, reply Reply, bound netip.AddrPort) error {
	b := append(r.held, replyMessage(reply, bound)...)
	r.held = nil
	_, err := w.Write(b)
	return err
}

func replyMessage(reply Reply, bound netip.AddrPort) []byte {
	m := statute.Reply{Version: statute.VersionSocks5, Response: byte(reply)}
	m.BndAddr = addrSpec(Destination{Addr: bound.Addr().Unmap(), Port: bound.Port()})
	return m.Bytes()
}

// handshaker runs the server side of RFC 1928 and RFC 1929 on one connection
// after the other. It is safe for concurrent use.
type handshaker struct {
	auth      Authenticator
	frames    bool // methodFramed is taken where it is offered
	onFailure func()
}

// newHandshaker returns a handshaker that asks auth and calls onFailure (nil:
// nothing) before it answers a peer whose credentials were wrong.
func newHandshaker(auth Authenticator, frames bool, onFailure func()) *handshaker {
	if onFailure == nil {
		onFailure = func() {}
	}
	return &handshaker{auth, frames, onFailure}
}

// handshake reads one request from conn, which keeps its deadlines and stays
// open: the caller answers the request and owns conn again. A peer that is
// refused has been told so when handshake returns.
func (h *handshaker) handshake(conn net.Conn) (*request, error) {
	c := &conversation{conn: conn}
	req, err := h.converse(c)
	if err != nil {
		_ = c.flush() // the refusal; the peer may be gone, and err says more
		return nil, c.explain(err)
	}
	req.held, req.early = c.held, c.rest()
	return req.whole()
}

// next reads a further request of a peer that agreed on methodFramed.
func (h *handshaker) next(conn net.Conn, id Identity) (*request, error) {
	c := &conversation{conn: conn, known: true}
	to, err := readRequest(c)
	if err != nil {
		_ = c.flush()
		return nil, c.explain(err)
	}
	req := &request{Identity: id, to: to, framed: true, early: c.rest()}
	return req.whole()
}

// whole refuses what is neither request nor frame: there are no frames before
// the answer.
func (r *request) whole() (*request, error) {
	if r.framed && len(r.early) > 0 {
		return nil, fmt.Errorf("%w: %d bytes behind a request whose answer has to be waited for", ErrProtocol, len(r.early))
	}
	return r, nil
}

func (h *handshaker) converse(c *conversation) (*request, error) {
	version, err := c.peek()
	if err != nil {
		return nil, err
	}
	if version != statute.VersionSocks5 {
		// Not a byte more: whoever speaks something else may say nothing else.
		return nil, fmt.Errorf("%w: it begins with byte %d instead of 5%s", ErrProtocol, version, guess(version))
	}
	greeting, err := statute.ParseMethodRequest(c)
	if err != nil {
		return nil, err
	}
	framed := h.frames && bytes.IndexByte(greeting.Methods, methodFramed) >= 0
	id, err := h.authenticate(c, greeting.Methods, framed)
	if err != nil {
		return nil, err
	}
	c.known = true
	to, err := readRequest(c)
	if err != nil {
		return nil, err
	}
	return &request{Identity: id, to: to, framed: framed}, nil
}

// guess names the protocol that begins with b.
func guess(b byte) string {
	switch {
	case b == 4:
		return " (SOCKS4?)"
	case b == 22:
		return " (TLS? security is \"none\" here)"
	case b >= 'A' && b <= 'Z':
		return " (HTTP?)"
	}
	return ""
}

// authenticate prefers user names: curl offers both methods when it has a user
// name, and the user name carries the mode.
func (h *handshaker) authenticate(c *conversation, methods []byte, framed bool) (Identity, error) {
	switch {
	case framed:
		return h.checkPassword(c, methodFramed)
	case bytes.IndexByte(methods, statute.MethodUserPassAuth) >= 0:
		return h.checkPassword(c, statute.MethodUserPassAuth)
	case h.auth.Open() && bytes.IndexByte(methods, statute.MethodNoAuth) >= 0:
		c.hold(statute.VersionSocks5, statute.MethodNoAuth)
		return h.auth.Authenticate("", "")
	}
	c.hold(statute.VersionSocks5, statute.MethodNoAcceptable)
	return Identity{}, fmt.Errorf("%w: the peer offers the methods %v and no user name", ErrAuthenticationFailed, methods)
}

func (h *handshaker) checkPassword(c *conversation, method byte) (Identity, error) {
	c.hold(statute.VersionSocks5, method)
	m, err := statute.ParseUserPassRequest(c)
	if err != nil {
		return Identity{}, err
	}
	id, err := h.auth.Authenticate(string(m.User), string(m.Pass))
	if err != nil {
		h.onFailure()
		c.hold(statute.UserPassAuthVersion, statute.AuthFailure)
		return Identity{}, err
	}
	c.hold(statute.UserPassAuthVersion, statute.AuthSuccess)
	return id, nil
}

// readRequest reads what the peer asks for and refuses all but CONNECT.
func readRequest(c *conversation) (Destination, error) {
	m, err := statute.ParseRequest(c)
	switch {
	case errors.Is(err, statute.ErrUnrecognizedAddrType):
		c.refuse(ReplyAddressTypeNotSupported)
		return Destination{}, fmt.Errorf("%w: unknown address type %d", ErrProtocol, m.DstAddr.AddrType)
	case err != nil:
		return Destination{}, err
	case m.Command != statute.CommandConnect:
		c.refuse(ReplyCommandNotSupported)
		return Destination{}, fmt.Errorf("%w: the peer asked for command %d", ErrUnsupportedCommand, m.Command)
	}
	to, ok := destinationOf(m.DstAddr)
	if !ok {
		c.refuse(ReplyGeneralFailure)
		return Destination{}, fmt.Errorf("%w: empty host name", ErrProtocol)
	}
	return to, nil
}

// destinationOf takes a name that is an address literal for that address: some
// clients send it so.
func destinationOf(spec statute.AddrSpec) (Destination, bool) {
	to := Destination{Name: spec.FQDN, Port: uint16(spec.Port)}
	addr, ok := netip.AddrFromSlice(spec.IP)
	if to.Name != "" {
		var err error
		addr, err = netip.ParseAddr(to.Name)
		ok = err == nil
	}
	if ok {
		to.Name, to.Addr = "", addr.Unmap().WithZone("")
	}
	return to, to.Name != "" || ok
}

// conversation is the connection of one handshake. It reads ahead, and holds
// the small answers until the next read would have to wait, so that answers to
// pipelined questions leave as one segment.
type conversation struct {
	conn     net.Conn
	held     []byte
	buf      [conversationBuffer]byte
	from, to int   // what is unread in buf
	err      error // of the last read of conn
	starved  bool  // err was met: it is what ended the conversation
	any      bool  // something was read
	known    bool  // the peer is authenticated
}

// conversationBuffer has space for all that a usual peer sends in one flight.
// A longer one takes more reads.
const conversationBuffer = 512

func (c *conversation) Read(p []byte) (int, error) {
	if err := c.fill(); err != nil {
		return 0, err
	}
	n := copy(p, c.buf[c.from:c.to])
	c.from += n
	return n, nil
}

// fill waits until something is in the buffer.
func (c *conversation) fill() error {
	for c.from == c.to {
		if c.err == nil {
			c.err = c.flush()
		}
		if c.err != nil {
			c.starved = true
			return c.err
		}
		c.from = 0
		c.to, c.err = c.conn.Read(c.buf[:])
		c.any = c.any || c.to > 0
	}
	return nil
}

// peek returns the next byte and leaves it.
func (c *conversation) peek() (byte, error) {
	if err := c.fill(); err != nil {
		return 0, err
	}
	return c.buf[c.from], nil
}

// rest returns a copy of what is unread, nil for nothing.
func (c *conversation) rest() []byte { return append([]byte(nil), c.buf[c.from:c.to]...) }

func (c *conversation) hold(b ...byte) { c.held = append(c.held, b...) }

func (c *conversation) refuse(reply Reply) {
	c.hold(replyMessage(reply, netip.AddrPort{})...)
}

func (c *conversation) flush() error {
	if len(c.held) == 0 {
		return nil
	}
	_, err := c.conn.Write(c.held)
	c.held = nil
	return err
}

// explain turns what ended the conversation into one of the errors above. The
// library drops the cause of some of its errors, so that of the last read goes
// first.
func (c *conversation) explain(err error) error {
	for _, own := range []error{ErrAuthenticationFailed, ErrUnsupportedCommand, ErrProtocol} {
		if errors.Is(err, own) {
			return err
		}
	}
	var timeout net.Error
	switch {
	case !c.starved:
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	case errors.As(c.err, &timeout) && timeout.Timeout():
		return fmt.Errorf("handshake not complete in time: %w", c.err)
	case !c.any || c.known && errors.Is(c.err, io.EOF):
		return fmt.Errorf("%w (%w)", ErrPeerLeft, c.err)
	}
	return fmt.Errorf("%w: it ended early: %w", ErrProtocol, c.err)
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
type credentials struct {
	user, password string
	frames         bool // offer methodFramed
}

// greeting returns the bytes that open a conversation with the concentrator:
// method selection, and the user name and password right behind it.
func (c credentials) greeting() []byte {
	if c.user == "" {
		return statute.NewMethodRequest(statute.VersionSocks5, []byte{statute.MethodNoAuth}).Bytes()
	}
	methods := []byte{statute.MethodUserPassAuth}
	if c.frames {
		methods = []byte{methodFramed, statute.MethodUserPassAuth}
	}
	b := statute.NewMethodRequest(statute.VersionSocks5, methods).Bytes()
	return append(b, statute.NewUserPassRequest(statute.UserPassAuthVersion, []byte(c.user), []byte(c.password)).Bytes()...)
}

// flight returns greeting, authentication and request as one segment.
func (c credentials) flight(to Destination) []byte {
	return append(c.greeting(), requestMessage(to)...)
}

func requestMessage(to Destination) []byte {
	return statute.Request{Version: statute.VersionSocks5, Command: statute.CommandConnect, DstAddr: addrSpec(to)}.Bytes()
}

// readGreeting reads the answers to greeting, and says whether methodFramed was
// taken.
func (c credentials) readGreeting(r io.Reader) (framed bool, err error) {
	ar := &answerReader{r: r, ours: methodReplySize}
	want := statute.MethodNoAuth
	if c.user != "" {
		want = statute.MethodUserPassAuth
		ar.ours += userPassReplySize
	}
	m, err := statute.ParseMethodReply(ar)
	switch {
	case err != nil:
		return false, ar.explain("greeting", err)
	case m.Ver != statute.VersionSocks5:
		return false, fmt.Errorf("%w: the server's first byte is %d instead of 5", ErrProtocol, m.Ver)
	case m.Method == statute.MethodNoAcceptable:
		return false, fmt.Errorf("%w: the server does not take this kind of authentication", ErrTokenRefused)
	case m.Method == methodFramed && c.frames:
		framed = true
	case m.Method != want:
		return false, fmt.Errorf("%w: the server chose authentication method %d, offered was %d", ErrProtocol, m.Method, want)
	}
	if c.user == "" {
		return false, nil
	}
	a, err := statute.ParseUserPassReply(ar)
	if err != nil {
		return false, ar.explain("answer to the token", err)
	}
	if a.Status != statute.AuthSuccess {
		return false, ErrTokenRefused
	}
	return framed, nil
}

// readReply reads the answer to a request, which has at least so many bytes; the
// address is BND.ADDR when the concentrator sent one in numbers.
func readReply(r io.Reader, least int) (Reply, netip.AddrPort, error) {
	ar := &answerReader{r: r, ours: least}
	rep, err := statute.ParseReply(ar)
	if err != nil {
		return 0, netip.AddrPort{}, ar.explain("reply", err)
	}
	addr, ok := netip.AddrFromSlice(rep.BndAddr.IP)
	if !ok {
		return Reply(rep.Response), netip.AddrPort{}, nil
	}
	return Reply(rep.Response), netip.AddrPortFrom(addr.Unmap(), uint16(rep.BndAddr.Port)), nil
}

// Sizes of answers in bytes: RFC 1928 §3 and §6 (an empty name as BND.ADDR, an IPv4
// address), RFC 1929 §2. Whoever agreed on methodFramed answers with addresses.
const (
	methodReplySize   = 2
	userPassReplySize = 2
	shortestReplySize = 7
	numericReplySize  = 10
)

// answerReader reads several small answers at once, but never beyond them: what
// follows belongs to the application.
type answerReader struct {
	r    io.Reader
	ours int // bytes that certainly belong to the answers and are not read yet
	buf  [numericReplySize]byte
	rest []byte // of buf, unread
	err  error  // of the last read of r
	// starved: err was met, and is why there is no answer.
	starved bool
}

func (a *answerReader) Read(p []byte) (n int, err error) {
	if len(a.rest) == 0 && len(p) < a.ours {
		n, a.err = a.r.Read(a.buf[:a.ours])
		a.rest = a.buf[:n]
		a.ours -= n
	}
	if len(a.rest) > 0 {
		n = copy(p, a.rest)
		a.rest = a.rest[n:]
		return n, nil
	}
	if a.err == nil {
		n, a.err = a.r.Read(p)
		a.ours = max(a.ours-n, 0)
		if n > 0 {
			return n, nil
		}
	}
	a.starved = a.err != nil
	return 0, a.err
}

// explain says what went wrong with an answer; the library drops the cause.
func (a *answerReader) explain(what string, err error) error {
	switch {
	case !a.starved:
		return fmt.Errorf("%w: the concentrator's %s: %w", ErrProtocol, what, err)
	case errors.Is(a.err, io.EOF):
		return fmt.Errorf("the concentrator closed the connection before its %s: %w", what, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("reading the concentrator's %s: %w", what, a.err)
}
