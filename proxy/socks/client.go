package socks

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"mpproxy/proxy"
)

// Credentials are what the client shows to the concentrator. With an empty User no
// authentication is offered.
type Credentials struct {
	User, Password string // 255 bytes each at most
	Frames         bool   // offer methodFramed and methodReady
	// LeaveSubflows asks the concentrator to close no subflow: nobody would make another.
	LeaveSubflows bool
}

// Greeting returns the bytes that open a conversation with the concentrator:
// method selection, and the user name and password right behind it.
func (c Credentials) Greeting() []byte {
	if c.User == "" {
		return methodsMessage(methodNone)
	}
	methods := make([]byte, 0, 4)
	if c.Frames {
		methods = append(methods, methodReady, methodFramed)
	}
	if c.LeaveSubflows {
		methods = append(methods, methodAlone)
	} else {
		methods = append(methods, methodManaged)
	}
	return append(methodsMessage(append(methods, methodPassword)...), passwordMessage(c.User, c.Password)...)
}

// Flight returns greeting, authentication and request, to be sent as one segment.
func (c Credentials) Flight(to proxy.Destination) []byte {
	return append(c.Greeting(), RequestMessage(to)...)
}

// MessageFor returns the request for a flow.
func MessageFor(f *proxy.Flow) []byte {
	if f.Resolve {
		return ResolveMessage(f.To)
	}
	return RequestMessage(f.To)
}

// Agreed is what both ends have agreed on in the greeting.
type Agreed struct {
	Framed bool // one stream may follow another: see relay.Framed
	Ready  bool // requests may come late, and data right behind them; Framed, too
}

// DataMayFollow reports whether a frame of data may travel with a request, if both ends
// have agreed on methodReady. flight is all that is sent from the greeting on, or from the
// last stream's end. The server must see some of the frame when it has read the request:
// TLS may have the rest in its own buffer, where nobody looks.
func DataMayFollow(flight []byte) bool { return len(flight) < conversationBuffer-earlyHeader }

// ReadGreeting reads the answers to Greeting.
func (c Credentials) ReadGreeting(r io.Reader) (agreed Agreed, err error) {
	ar := &answerReader{r: r, ours: methodReplySize}
	want := methodNone
	if c.User != "" {
		want = methodPassword
		ar.ours += passwordReplySize
	}
	version, method, err := parseMethodReply(ar)
	switch {
	case err != nil:
		return agreed, ar.explain("greeting", err)
	case version != version5:
		return agreed, fmt.Errorf("%w: the server's first byte is %d instead of 5", ErrProtocol, version)
	case method == methodUnacceptable:
		return agreed, fmt.Errorf("%w: the server does not take this kind of authentication", ErrTokenRefused)
	case (method == methodFramed || method == methodReady) && c.Frames:
		agreed = Agreed{Framed: true, Ready: method == methodReady}
	case method != want:
		return agreed, fmt.Errorf("%w: the server chose authentication method %d, offered was %d", ErrProtocol, method, want)
	}
	if c.User == "" {
		return agreed, nil
	}
	status, err := parsePasswordReply(ar)
	if err != nil {
		return agreed, ar.explain("answer to the token", err)
	}
	if status == passwordDisabled {
		return Agreed{}, ErrUserDisabled
	}
	if status != passwordRight {
		return Agreed{}, ErrTokenRefused
	}
	return agreed, nil
}

// ReadReply reads the answer to a request, and no byte of what follows it. bound is
// the concentrator's address towards the destination; it is invalid if the answer
// names a host there. framed says that both ends agreed on methodFramed.
func ReadReply(r io.Reader, framed bool) (o proxy.Outcome, bound netip.AddrPort, err error) {
	ar := &answerReader{r: r, ours: shortestReplySize}
	if framed {
		ar.ours = numericReplySize
	}
	if o, bound, err = parseReply(ar); err != nil {
		return 0, netip.AddrPort{}, ar.explain("reply", err)
	}
	return o, bound, nil
}

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
