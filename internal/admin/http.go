package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/net/netutil"

	"mpproxy/internal/status"
)

// Bounds of the HTTP server: it is for a scraper, a health check and a person or
// two.
const (
	httpConnections = 32
	httpHeader      = 8 << 10 // bytes of a request's header
	httpWrite       = 15 * time.Second
)

// HTTPConfig is what an HTTP server needs.
type HTTPConfig struct {
	Listen  netip.AddrPort
	Metrics http.Handler // answers GET /metrics
	// Status answers GET /status.json. What HTTP asks nobody's name for is shown
	// without destinations and users.
	Status func(context.Context) (status.Status, error)
	// Health answers GET /healthz: nil when the program does what it is for.
	Health func(context.Context) error
	Log    *slog.Logger // nil: no log
}

// HTTP serves metrics, health and status over TCP, read-only. It is a daemon
// task.
type HTTP struct {
	cfg   HTTPConfig
	ready chan struct{}
	addr  netip.AddrPort // bound; set before ready is closed
}

// NewHTTP returns an HTTP server. It listens when Run is called.
func NewHTTP(cfg HTTPConfig) *HTTP {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &HTTP{cfg: cfg, ready: make(chan struct{})}
}

// Ready is closed once requests are accepted.
func (h *HTTP) Ready() <-chan struct{} { return h.ready }

// String names the task.
func (h *HTTP) String() string { return "admin HTTP" }

// Addr is the address that is listened on. It is valid once Ready is closed.
func (h *HTTP) Addr() netip.AddrPort { return h.addr }

// Run serves until ctx is done.
func (h *HTTP) Run(ctx context.Context) error {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	network := "tcp6"
	if h.cfg.Listen.Addr().Unmap().Is4() {
		network = "tcp4" // 0.0.0.0 must not open [::] as well
	}
	l, err := lc.Listen(ctx, network, h.cfg.Listen.String())
	if err != nil {
		return fmt.Errorf("admin.http: %w: choose another address with [admin] http, or \"\" for none", err)
	}
	h.addr = l.Addr().(*net.TCPAddr).AddrPort()
	srv := &http.Server{
		Handler:           h.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      httpWrite,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    httpHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(h.cfg.Log.Handler(), slog.LevelDebug), // strangers cause it
	}
	h.cfg.Log.Info("serving metrics over HTTP", "address", h.addr)
	close(h.ready)
	return serveUntil(ctx, srv, netutil.LimitListener(l, httpConnections))
}

func (h *HTTP) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h.cfg.Metrics)
	mux.HandleFunc("GET /healthz", h.health)
	mux.HandleFunc("GET /status.json", h.status)
	return guard(h.cfg.Listen.Addr(), mux)
}

// guard refuses requests that a page from elsewhere makes a browser send: with
// DNS rebinding its host name leads here, and the Host header still names it. On
// other addresses any name may be right.
func guard(listen netip.Addr, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if listen.Unmap().IsLoopback() && !isLocal(r.Host) {
			http.Error(w, fmt.Sprintf("this is served to this host only: ask for it by address, such as http://%s/", listen), http.StatusMisdirectedRequest)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// isLocal reports whether a Host header names this host.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if n := len(host); n > 1 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || host == "localhost"
}

func (h *HTTP) health(w http.ResponseWriter, r *http.Request) {
	if err := h.cfg.Health(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (h *HTTP) status(w http.ResponseWriter, r *http.Request) {
	st, err := h.cfg.Status(r.Context())
	answer(w, st.WithoutPeople(), err)
}
