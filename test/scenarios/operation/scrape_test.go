package operation

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"mpproxy/test/scenarios/scene"
)

// samples are the values of a scrape, by name and labels.
type samples map[string]float64

// fetch asks the admin HTTP server of a program from its own host.
func (e *end) fetch(t *testing.T, path, host string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(scene.Patient(t), http.MethodGet, "http://"+e.http+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	tr := e.host.HTTPTransport()
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (e *end) scrape(t *testing.T) samples {
	t.Helper()
	code, body := e.fetch(t, "/metrics", "")
	if code != http.StatusOK {
		t.Fatalf("scrape: status %d: %s", code, body)
	}
	m := samples{}
	for line := range strings.Lines(body) {
		i := strings.LastIndexByte(line, ' ')
		if line[0] == '#' || i < 0 {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64)
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		m[line[:i]] = v
	}
	return m
}

func (m samples) want(t *testing.T, name string, v float64) {
	t.Helper()
	if got, ok := m[name]; !ok || got != v {
		t.Errorf("%s is %v (%t), want %v", name, got, ok, v)
	}
}

// family returns the samples of one metric.
func (m samples) family(name string) samples {
	out := samples{}
	for k, v := range m {
		if k == name || strings.HasPrefix(k, name+"{") {
			out[k] = v
		}
	}
	return out
}

func (m samples) sum(name string) (n float64) {
	for _, v := range m.family(name) {
		n += v
	}
	return n
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// safe wants HTTP to tell nobody who goes where, and nothing to pages from
// elsewhere.
func (e *end) safe(t *testing.T) {
	t.Helper()
	if code, body := e.fetch(t, "/healthz", ""); code != http.StatusOK || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	code, body := e.fetch(t, "/status.json", "")
	if code != http.StatusOK || !strings.Contains(body, `"program":"mpproxy-`) || strings.Contains(body, "alice") {
		t.Errorf("status.json: %d %s", code, body)
	}
	for _, path := range []string{"/metrics", "/status.json", "/healthz"} {
		if code, body := e.fetch(t, path, "rebound.example:9480"); code != http.StatusMisdirectedRequest {
			t.Errorf("%s for a page from elsewhere: %d %s", path, code, body)
		}
	}
	for name := range e.scrape(t) {
		for _, secret := range []string{"alice", "dest.example", "0x"} {
			if strings.Contains(name, secret) {
				t.Errorf("%s is a label: %s", secret, name)
			}
		}
	}
}
