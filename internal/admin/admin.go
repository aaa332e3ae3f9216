// Package admin is the control interface of a running program: HTTP with JSON
// over a Unix socket that only its owner may open, and, when it is configured,
// metrics and health over TCP.
//
//	srv := admin.NewServer(admin.Config{Program: "mpproxy-client", Socket: path, Status: collect})
//	srv.Run(ctx)
//
//	s, err := admin.Target{"mpproxy-client", path}.Status(ctx, time.Second)
//
//	admin.NewHTTP(admin.HTTPConfig{Listen: addr, Metrics: handler, Status: collect}).Run(ctx)
//
// It serves what it is given; assembling a status is the program's work.
package admin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"mpproxy/internal/status"
)

// maxInterval bounds how long one request may measure rates.
const maxInterval = 5 * time.Second

// Config is what a Server needs.
type Config struct {
	Program string // for people: "mpproxy-client"
	Socket  string // path of the Unix socket
	Status  func(context.Context) (status.Status, error)
	Events  EventSource  // nil: there are none to tell
	Log     *slog.Logger // nil: no log
}

// Server is a daemon task.
type Server struct {
	cfg   Config
	run   string // names this run of the program, which numbers its events
	ready chan struct{}
}

// NewServer returns a Server. It listens when Run is called.
func NewServer(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, run: rand.Text(), ready: make(chan struct{})}
}

// Ready is closed once the socket accepts requests.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// String names the task.
func (s *Server) String() string { return "admin API" }

// Run serves until ctx is done and removes the socket.
func (s *Server) Run(ctx context.Context) error {
	l, err := listen(ctx, s.cfg.Program, s.cfg.Socket)
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
	close(s.ready)
	return serveUntil(ctx, srv, l)
}

// serveUntil serves until ctx is done.
func serveUntil(ctx context.Context, srv *http.Server, l net.Listener) error {
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		stopped <- shutDown(context.WithoutCancel(ctx), srv)
	})
	err := srv.Serve(l)
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
	st, err := measured(r.Context(), s.cfg.Status, interval)
	answer(w, st, err)
}

// measured takes a snapshot with the rates over an interval; 0 means none.
func measured(ctx context.Context, take func(context.Context) (status.Status, error), interval time.Duration) (status.Status, error) {
	st, err := take(ctx)
	if err != nil || interval <= 0 {
		return st, err
	}
	select {
	case <-time.After(interval):
	case <-ctx.Done():
		return st, ctx.Err()
	}
	earlier := st
	if st, err = take(ctx); err != nil {
		return st, err
	}
	return st.WithRates(earlier), nil
}

func answer(w http.ResponseWriter, st status.Status, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(st) // the reader may have left
}

// listen binds the socket, taking over one that a crash left behind, never one
// that is in use.
func listen(ctx context.Context, program, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("admin socket: %w: choose another place with [admin] socket", err)
	}
	lc := net.ListenConfig{Control: ownerOnly}
	l, err := lc.Listen(ctx, "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(program, path); err != nil {
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
func removeStale(program, path string) error {
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
		return fmt.Errorf("admin socket %s: another %s is running: stop it, or give this one its own [admin] socket", path, program)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("admin socket left behind by a crash: %w", err)
	}
	return nil
}
