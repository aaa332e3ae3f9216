// Package admin is the control interface of a running client: HTTP with JSON
// over a Unix socket that only its owner may open.
//
//	srv := admin.NewServer(admin.Config{Socket: path, Status: collect})
//	srv.Run(ctx)
//
//	s, err := admin.Status(ctx, path, time.Second)
//
// It serves what it is given; assembling a status is the client's work.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mpproxy/internal/status"
)

// ErrNotRunning: nobody listens on the socket.
var ErrNotRunning = errors.New("no mpproxy-client is running")

// maxInterval bounds how long one request may measure rates.
const maxInterval = 5 * time.Second

// maxExplanation bounds what is read of an answer that is an error.
const maxExplanation = 4 << 10

// Config is what a Server needs.
type Config struct {
	Socket string // path of the Unix socket
	Status func(context.Context) (status.Status, error)
	Events EventSource  // nil: there are none to tell
	Log    *slog.Logger // nil: no log
}

// Server is a daemon task.
type Server struct {
	cfg   Config
	ready chan struct{}
}

// NewServer returns a Server. It listens when Run is called.
func NewServer(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, ready: make(chan struct{})}
}

// Ready is closed once the socket accepts requests.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// String names the task.
func (s *Server) String() string { return "admin API" }

// Run serves until ctx is done and removes the socket.
func (s *Server) Run(ctx context.Context) error {
	l, err := listen(ctx, s.cfg.Socket)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/events", s.events)
	srv := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      maxInterval + 10*time.Second,
		IdleTimeout:       30 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelWarn),
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		stopped <- shutDown(context.WithoutCancel(ctx), srv)
	})
	close(s.ready)
	err = srv.Serve(l)
	if stop() { // Serve failed by itself
		return err
	}
	return <-stopped
}

// shutDown lets requests finish for a moment. Whoever is connected without
// having asked for anything is cut off: that is no failure.
func shutDown(ctx context.Context, srv *http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(err, srv.Close())
	}
	return srv.Close()
}

// status answers GET /v1/status?interval=DURATION. Without the parameter no
// rates are measured.
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	interval, err := time.Duration(0), error(nil)
	if q := r.URL.Query(); q.Has("interval") {
		interval, err = time.ParseDuration(q.Get("interval"))
	}
	if err != nil || interval < 0 || interval > maxInterval {
		http.Error(w, fmt.Sprintf("interval must be a duration from 0s to %s", maxInterval), http.StatusBadRequest)
		return
	}
	st, err := s.cfg.Status(r.Context())
	if err == nil && interval > 0 {
		earlier := st
		select {
		case <-time.After(interval):
		case <-r.Context().Done():
			return
		}
		if st, err = s.cfg.Status(r.Context()); err == nil {
			st = st.WithRates(earlier)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(st) // the reader may have left
}

// listen binds the socket, taking over one that a crash left behind, never one
// that is in use.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("admin socket: %w: choose another place with [admin] socket", err)
	}
	lc := net.ListenConfig{Control: ownerOnly}
	l, err := lc.Listen(ctx, "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(path); err != nil {
			return nil, err
		}
		l, err = lc.Listen(ctx, "unix", path)
	}
	if err != nil {
		return nil, fmt.Errorf("admin socket %s: %w: choose another place with [admin] socket", path, err)
	}
	return l, nil
}

// ownerOnly gives the socket the mode 0600 before it has a name, so that there
// is no moment at which others can connect: bind takes the mode of the file
// from the socket (unix_bind_bsd in net/unix/af_unix.c).
func ownerOnly(_, _ string, c syscall.RawConn) error {
	var err error
	return errors.Join(c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) }), err)
}

// removeStale removes a socket that nobody listens on any more, and nothing
// else: a socket whose listener is too busy to answer is in use.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // its owner has just removed it
	case err != nil:
		return fmt.Errorf("admin socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("admin socket %s: there is something else in its place: choose another place with [admin] socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("admin socket %s: another mpproxy-client is running: stop it, or give this one its own [admin] socket", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("admin socket left behind by a crash: %w", err)
	}
	return nil
}

// Status asks the client that listens on socket for a snapshot whose rates are
// measured over interval (0 to 5 s; 0 means no rates). The error wraps
// ErrNotRunning if there is none.
func Status(ctx context.Context, socket string, interval time.Duration) (status.Status, error) {
	var st status.Status
	u := "http://mpproxy/v1/status?" + url.Values{"interval": {interval.String()}}.Encode()
	resp, err := query(ctx, socket, u, interval+10*time.Second)
	if err != nil {
		return st, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, maxExplanation))
		return st, fmt.Errorf("asking the client: %s: %s", resp.Status, strings.TrimSpace(string(why)))
	}
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		return st, fmt.Errorf("reading the client's status: %w", err)
	}
	return st, nil
}

// query sends a request to the client that listens on socket. The timeout bounds the
// whole exchange; 0 leaves that to ctx.
func query(ctx context.Context, socket, u string, timeout time.Duration) (*http.Response, error) {
	c := http.Client{
		Timeout: timeout,
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", socket)
		}},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w (nobody listens on %s): start one with `mpproxy-client run`, or name its socket with --socket", ErrNotRunning, socket)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the client belongs to another user (%s): run this as that user", socket)
	case err != nil:
		return nil, fmt.Errorf("asking the client: %w", err)
	}
	return resp, nil
}
