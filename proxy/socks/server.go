package socks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"

	"mpproxy/proxy"
)

// Authenticator decides who may use a listener. Implementations are safe for
// concurrent use; slowing failures down is the caller's.
type Authenticator interface {
	// Open reports whether a peer may go on without a user name.
	Open() bool
	// Authenticate returns the identity behind a user name (which may carry a
	// mode, "alice+handover") and password. Open listeners are asked with
	// two empty strings for a peer that offered no user name. An error wraps
	// proxy.ErrAuthenticationFailed, of which the peer is told, or
	// proxy.ErrUnverified. ctx ends with the connection.
	Authenticate(ctx context.Context, user, password string) (proxy.Identity, error)
}

// Request is what a peer asked for in a complete handshake.
type Request struct {
	proxy.Flow
	// Framed and Ready: what the peer and we agreed on. Early is one whole frame then.
	Agreed
	// Waits: the peer has shown who it is and asked for nothing yet. Next reads its
	// request; To and Answer are empty.
	Waits bool
	held  []byte // answers of the handshake that no one waits for yet
	conn  io.Writer
	// What the greeting says of the client's subflows: methodManaged, methodAlone, or 0.
	subflows byte
}

// LeaveSubflows reports whether the concentrator is to close none of the client's
// subflows. A greeting that does not say it comes from a client that is older than the
// field, or from another program: these name a mode if they make subflows anew.
func (r *Request) LeaveSubflows() bool {
	return r.subflows == methodAlone || r.subflows == 0 && !r.Who.Asked
}

// Welcome sends the answers of the handshake that wait to leave together with the reply,
// if there are any. It is for whoever takes long to reply.
func (r *Request) Welcome() error {
	if len(r.held) == 0 {
		return nil
	}
	b := r.held
	r.held = nil
	_, err := r.conn.Write(b)
	return err
}

// answer sends the reply, and what the handshake still held, as one segment.
func (r *Request) answer(o proxy.Outcome, bound netip.AddrPort) error {
	b := append(r.held, replyMessage(o, bound)...)
	r.held = nil
	_, err := r.conn.Write(b)
	return err
}

// Server runs the server's side of RFC 1928 and RFC 1929 on one connection after the
// other. It is safe for concurrent use.
type Server struct {
	Auth   Authenticator
	Frames bool // take methodFramed and methodReady where they are offered
	// NeverAsk takes a peer that offers to go without a user name by its word, although it
	// offers to show one as well. It is for Auths that are open.
	NeverAsk bool
	// Explain tells peers that speak another protocol, in their own, what they have met. It
	// is for listeners at which nobody is a stranger.
	Explain bool
	// OnFailure is called before a peer is answered whose secret was wrong; may be nil.
	// ctx ends with the connection.
	OnFailure func(ctx context.Context)
}

// Handshake reads one request from conn, which keeps its deadlines and stays
// open: the caller answers the request and owns conn again. A peer that is
// refused has been told so when Handshake returns. ctx is for whoever knows the users.
func (s *Server) Handshake(ctx context.Context, conn net.Conn) (*Request, error) {
	c := &conversation{conn: conn}
	req, err := s.converse(ctx, c)
	return finish(c, req, err)
}

// Next reads a further request of a peer, or the first one of a peer that has waited.
func (s *Server) Next(conn net.Conn, id proxy.Identity, agreed Agreed) (*Request, error) {
	c := &conversation{conn: conn, known: true}
	req := newRequest(id, agreed)
	return finish(c, req, readRequest(c, req))
}

func newRequest(id proxy.Identity, agreed Agreed) *Request {
	return &Request{Flow: proxy.Flow{Who: id, How: proxy.Choice{Mode: id.Mode}}, Agreed: agreed}
}

// finish hands over what the conversation holds, or refuses the peer.
func finish(c *conversation, req *Request, err error) (*Request, error) {
	if err != nil {
		_ = c.flush() // the refusal; the peer may be gone, and err says more
		return nil, c.explain(err)
	}
	if req.Waits {
		return req, c.flush()
	}
	if req.Ready {
		req.Early, err = c.frame()
	} else {
		req.Early = c.rest()
	}
	if err != nil {
		return nil, c.explain(err)
	}
	req.held = c.held
	req.conn, req.Answer = c.conn, req.answer           // not c, which holds a buffer
	if req.Framed && !req.Ready && len(req.Early) > 0 { // frames begin behind the answer
		return nil, fmt.Errorf("%w: %d bytes behind a request whose answer has to be waited for", ErrProtocol, len(req.Early))
	}
	return req, nil
}

func (s *Server) converse(ctx context.Context, c *conversation) (*Request, error) {
	version, err := c.peek()
	if err != nil {
		return nil, err
	}
	if version != version5 {
		if s.Explain {
			c.explainTo(version)
		}
		// Else not a byte more: whoever speaks something else may say nothing else.
		return nil, fmt.Errorf("%w: it begins with byte %d instead of 5%s", ErrProtocol, version, guess(version))
	}
	methods, err := parseMethods(c)
	if err != nil {
		return nil, err
	}
	ready := s.Frames && bytes.IndexByte(methods, methodReady) >= 0
	agreed := Agreed{Framed: ready || s.Frames && bytes.IndexByte(methods, methodFramed) >= 0, Ready: ready}
	id, err := s.authenticate(ctx, c, methods, agreed)
	if err != nil {
		return nil, err
	}
	c.known = true
	req := newRequest(id, agreed)
	if req.Waits = ready && c.from == c.to; !req.Waits {
		if err := readRequest(c, req); err != nil {
			return nil, err
		}
	}
	if i := slices.IndexFunc(methods, func(m byte) bool { return m == methodManaged || m == methodAlone }); i >= 0 {
		req.subflows = methods[i]
	}
	return req, nil
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

// authenticate prefers user names unless NeverAsk is set: curl offers both methods when
// it has a user name, and the user name carries the mode.
func (s *Server) authenticate(ctx context.Context, c *conversation, methods []byte, agreed Agreed) (proxy.Identity, error) {
	nameless := s.Auth.Open() && bytes.IndexByte(methods, methodNone) >= 0
	switch {
	case nameless && s.NeverAsk:
		return s.nobody(ctx, c)
	case agreed.Ready:
		return s.checkPassword(ctx, c, methodReady)
	case agreed.Framed:
		return s.checkPassword(ctx, c, methodFramed)
	case bytes.IndexByte(methods, methodPassword) >= 0:
		return s.checkPassword(ctx, c, methodPassword)
	case nameless:
		return s.nobody(ctx, c)
	}
	c.hold(version5, methodUnacceptable)
	return proxy.Identity{}, fmt.Errorf("%w: the peer offers the methods %v and no user name", proxy.ErrAuthenticationFailed, methods)
}

// nobody lets a peer without a user name in.
func (s *Server) nobody(ctx context.Context, c *conversation) (proxy.Identity, error) {
	c.hold(version5, methodNone)
	return s.Auth.Authenticate(ctx, "", "")
}

func (s *Server) checkPassword(ctx context.Context, c *conversation, method byte) (proxy.Identity, error) {
	c.hold(version5, method)
	user, password, err := parsePassword(c)
	if err != nil {
		return proxy.Identity{}, err
	}
	id, err := s.Auth.Authenticate(ctx, user, password)
	if errors.Is(err, proxy.ErrUnverified) {
		c.held = nil // no answer: the secret may be right
		return proxy.Identity{}, err
	}
	if err != nil {
		if s.OnFailure != nil {
			s.OnFailure(ctx)
		}
		status := byte(passwordWrong)
		if errors.Is(err, proxy.ErrUserDisabled) {
			status = passwordDisabled
		}
		c.hold(passwordVersion, status)
		return proxy.Identity{}, err
	}
	c.hold(passwordVersion, passwordRight)
	return id, nil
}

// readRequest reads what the peer asks for and refuses all but CONNECT and Tor's RESOLVE.
func readRequest(c *conversation, req *Request) error {
	command, to, named, err := parseRequest(c)
	var unknown addressTypeError
	switch {
	case errors.As(err, &unknown):
		c.refuse(proxy.AddressTypeNotSupported)
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	case err != nil:
		return err
	case command != commandConnect && command != commandResolve:
		c.refuse(proxy.CommandNotSupported)
		return fmt.Errorf("%w: the peer asked for command %d", ErrUnsupportedCommand, command)
	case !named:
		c.refuse(proxy.GeneralFailure)
		return fmt.Errorf("%w: empty host name", ErrProtocol)
	}
	req.To, req.Resolve = to, command == commandResolve
	return nil
}
