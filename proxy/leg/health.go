package leg

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"mpproxy/proxy"
	"mpproxy/proxy/socks"
)

// ServerState says how the concentrator answered last.
type ServerState string

// The states of a concentrator, as a client sees it.
const (
	ServerUnknown      ServerState = "not contacted yet"
	ServerOK           ServerState = "ok"
	ServerUnreachable  ServerState = "unreachable"
	ServerWrongPin     ServerState = "wrong pin"
	ServerTokenRefused ServerState = "token refused"
	ServerNoMPTCP      ServerState = "no MPTCP" // and require_mptcp is set
	ServerHidden       ServerState = "hidden"   // somebody else answers in its place
	ServerFailing      ServerState = "failing"  // it answers, but not as it should
)

// Health is what is known of the concentrator.
type Health struct {
	State   ServerState
	Since   time.Time // when it came into this state
	Error   string    // what went wrong last; empty when all is well
	Advice  string    // what to do about it
	LastOK  time.Time
	Plain   bool   // the last leg came up as plain TCP
	PlainAt string // over which path, and why
}

// health keeps a Health and logs its changes, not each failure: a concentrator
// that is down would otherwise fill the log.
type health struct {
	log   *slog.Logger
	mu    sync.Mutex
	h     Health
	plain []string // where legs came up as plain TCP since the last that did not, and why
}

func (s *health) get() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.h
	if h.State == "" {
		h.State = ServerUnknown
	}
	return h
}

func (s *health) ok() {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.h.State != ServerOK {
		s.h.Since = now
		s.log.Info("the concentrator answers and accepts the token")
	}
	s.h.State, s.h.LastOK, s.h.Error, s.h.Advice = ServerOK, now, "", ""
}

func (s *health) failed(err error) {
	state, advice := judge(err)
	if state == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.h.State != state {
		s.h.Since = time.Now()
		s.log.Error("cannot use the concentrator: "+string(state), "error", err, "advice", advice)
	}
	s.h.State, s.h.Error, s.h.Advice = state, err.Error(), advice
}

// judge says what an error of the leg means for the concentrator's state;
// empty for errors that lie beyond it.
func judge(err error) (ServerState, string) {
	var refused *proxy.Failure
	var chain *chainError
	switch {
	case errors.Is(err, ErrNoPath):
		return "", ""
	case errors.Is(err, errNoFamily):
		return ServerUnreachable, "bring up a path with addresses of that family, or use a link that names the server by a name with both A and AAAA records"
	case errors.Is(err, ErrUnreachable):
		return ServerUnreachable, "check that the server runs and that its port is open in every firewall on the way"
	case errors.Is(err, ErrPinMismatch):
		return ServerWrongPin, "somebody else answers at this address, or the server got a new key: ask its operator for a new link"
	case errors.Is(err, socks.ErrUserDisabled):
		return ServerTokenRefused, "ask the server's operator why this user is disabled"
	case errors.Is(err, socks.ErrTokenRefused):
		return ServerTokenRefused, "ask the server's operator for a new link (mpproxy-server user link NAME)"
	case errors.Is(err, ErrNotMultipath):
		return ServerNoMPTCP, "see what strips MPTCP on this path, or set require_mptcp = false"
	case errors.As(err, &chain):
		return ServerHidden, "somebody else answers in its place: sign in where the network asks for it (open any page in a browser), or use another network; if it is so on all of them, see that the link has the server's address and its security setting"
	case errors.As(err, &refused): // by the concentrator, which is well therefore
		return "", ""
	}
	return ServerFailing, "see the server's log"
}

// Advice says what to do about an error of a Session; it may be empty.
func Advice(err error) string {
	if _, advice := judge(err); advice != "" {
		return strings.ToUpper(advice[:1]) + advice[1:] + "."
	}
	return ""
}

// multipath and fellBack keep whether legs come up as MPTCP, and log when that changes.
// A race tries several paths, so fellBack says it once for each path, and Health names
// the first.
func (s *health) multipath() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.h.Plain {
		s.h.Plain, s.h.PlainAt, s.plain = false, "", nil
		s.log.Info("connections to the concentrator are MPTCP again")
	}
}

func (s *health) fellBack(path, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := path + ": " + why; !slices.Contains(s.plain, at) {
		s.plain = append(s.plain, at)
		s.h.Plain, s.h.PlainAt = true, s.plain[0]
		s.log.Warn("a connection to the concentrator is plain TCP: it uses one path only", "path", path, "reason", why)
	}
}
