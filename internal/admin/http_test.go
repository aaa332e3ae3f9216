package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mpproxy/internal/status"
)

// serveOverTCP runs an HTTP server until the test ends, and returns its address.
func serveOverTCP(t *testing.T, cfg HTTPConfig) (addr string, stop func() error) {
	t.Helper()
	cfg.Listen = netip.MustParseAddrPort("127.0.0.1:0")
	if cfg.Metrics == nil {
		cfg.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "some_metric 1") })
	}
	if cfg.Status == nil {
		cfg.Status = fixed(status.Status{Version: "v1"})
	}
	if cfg.Health == nil {
		cfg.Health = func(context.Context) error { return nil }
	}
	h := NewHTTP(cfg)
	stop = startTask(t, h)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run = %v after a stop, want nil", err)
		}
	})
	return h.Addr().String(), stop
}

func fetch(t *testing.T, method, addr, path, host string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestHTTP(t *testing.T) {
	addr, _ := serveOverTCP(t, HTTPConfig{})
	for _, tt := range []struct {
		method, path, host string
		code               int
		body               string
	}{
		{"GET", "/metrics", "", 200, "some_metric 1"},
		{"GET", "/healthz", "", 200, "ok"},
		{"GET", "/status.json", "", 200, `"version":"v1"`},
		{"HEAD", "/metrics", "", 200, ""},
		{"POST", "/metrics", "", 405, ""},
		{"GET", "/", "", 404, ""},
		{"GET", "/metrics", "localhost:9480", 200, "some_metric"},
		{"GET", "/metrics", "127.0.0.53", 200, "some_metric"},
		{"GET", "/metrics", "[::1]:9480", 200, "some_metric"},
		{"GET", "/metrics", "rebound.example:9480", 421, "this host only"},
		{"GET", "/status.json", "localhost.example", 421, "this host only"},
		{"GET", "/healthz", "192.0.2.1", 421, "this host only"},
	} {
		t.Run(tt.method+" "+tt.path+" "+tt.host, func(t *testing.T) {
			resp, body := fetch(t, tt.method, addr, tt.path, tt.host)
			if resp.StatusCode != tt.code || !strings.Contains(body, tt.body) {
				t.Errorf("answer %d %q, want %d with %q", resp.StatusCode, body, tt.code, tt.body)
			}
			if resp.StatusCode == http.StatusOK && (resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Access-Control-Allow-Origin") != "") {
				t.Errorf("header %v", resp.Header)
			}
		})
	}
}

// TestGuardElsewhere: on an address that others reach, any name may be right.
func TestGuardElsewhere(t *testing.T) {
	for addr, want := range map[string]bool{"192.0.2.1": true, "0.0.0.0": true, "2001:db8::1": true, "127.0.0.1": false, "::1": false, "::ffff:127.0.0.1": false} {
		served := false
		h := guard(netip.MustParseAddr(addr), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true }))
		h.ServeHTTP(discard{}, &http.Request{Host: "gateway.example"})
		if served != want {
			t.Errorf("on %s, gateway.example is served: %t, want %t", addr, served, want)
		}
	}
}

// discard is a response that nobody reads.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

func TestHealthTellsWhy(t *testing.T) {
	addr, _ := serveOverTCP(t, HTTPConfig{Health: func(context.Context) error { return errors.New("no path is up") }})
	if resp, body := fetch(t, "GET", addr, "/healthz", ""); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "no path is up") {
		t.Errorf("answer %d %q", resp.StatusCode, body)
	}
}

// TestHTTPHidesPeople: over HTTP nobody learns who goes where.
func TestHTTPHidesPeople(t *testing.T) {
	st := status.Status{Connections: []status.Connection{{ID: 7, Destination: "secret.example:443", User: "alice", Mode: "handover", Peer: "192.0.2.9:5"}}}
	st.Server.User = "alice"
	addr, _ := serveOverTCP(t, HTTPConfig{Status: fixed(st)})
	_, body := fetch(t, "GET", addr, "/status.json", "")
	for _, secret := range []string{"secret.example", "alice", "192.0.2.9"} {
		if strings.Contains(body, secret) {
			t.Errorf("%s is in %s", secret, body)
		}
	}
	if !strings.Contains(body, `"mode":"handover"`) {
		t.Errorf("the connection is not in %s", body)
	}
}

// TestHTTPStops: neither who is silent nor who waits for an answer holds the
// program up.
func TestHTTPStops(t *testing.T) {
	asked := make(chan struct{})
	addr, stop := serveOverTCP(t, HTTPConfig{Health: func(ctx context.Context) error {
		close(asked)
		<-ctx.Done()
		return ctx.Err()
	}})
	for _, request := range []string{"", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
	}
	<-asked
	if err := stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

func TestHTTPAddressInUse(t *testing.T) {
	addr, _ := serveOverTCP(t, HTTPConfig{})
	err := NewHTTP(HTTPConfig{Listen: netip.MustParseAddrPort(addr)}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "[admin] http") {
		t.Errorf("Run = %v, want advice about [admin] http", err)
	}
}
