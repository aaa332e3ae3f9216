package apps

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestContent(t *testing.T) {
	const size = 3*blockSize + 11
	whole, err := io.ReadAll(NewContent(size))
	if err != nil || len(whole) != size {
		t.Fatalf("%d bytes, %v; want %d", len(whole), err, size)
	}
	if err := iotest.TestReader(NewContent(size), whole); err != nil {
		t.Error(err)
	}
	var written bytes.Buffer
	if n, err := NewContent(size).WriteTo(&written); n != size || err != nil || !bytes.Equal(written.Bytes(), whole) {
		t.Errorf("WriteTo: %d bytes, %v, same: %v", n, err, bytes.Equal(written.Bytes(), whole))
	}
	if bytes.Equal(whole[:blockSize], whole[blockSize:2*blockSize]) {
		t.Error("two blocks are the same: a swap would not be noticed")
	}
	sum := sha256.Sum256(whole)
	if got := SHA256(size); got != hex.EncodeToString(sum[:]) {
		t.Errorf("SHA256 = %s", got)
	}
	if short, _ := io.ReadAll(NewContent(100)); !bytes.Equal(short, whole[:100]) {
		t.Error("a short content is not the beginning of a long one")
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "17": 17, "60M": 60e6, "512KiB": 512 << 10, "2G": 2e9} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "-1", "M", "1.5M", "99999999999999G", "60 M"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", s, got)
		}
	}
}

func serveHTTP(t testing.TB) (base string) {
	t.Helper()
	s, err := ServeHTTP(testContext(t), Local{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return fmt.Sprintf("http://127.0.0.1:%d", s.Port())
}

func do(t *testing.T, method, url string, body io.Reader, header ...string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(testContext(t), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b
}

func TestHTTP(t *testing.T) {
	base := serveHTTP(t)
	const size = 1_000_000
	whole, _ := io.ReadAll(NewContent(size))

	if status, got := do(t, "GET", base+"/bytes/1M", nil); status != 200 || !bytes.Equal(got, whole) {
		t.Errorf("GET: status %d, %d bytes", status, len(got))
	}
	if status, got := do(t, "GET", base+"/bytes/1M", nil, "Range", "bytes=70000-79999"); status != 206 || !bytes.Equal(got, whole[70000:80000]) {
		t.Errorf("GET of a range: status %d, %d bytes", status, len(got))
	}
	if status, _ := do(t, "GET", base+"/bytes/many", nil); status != 400 {
		t.Errorf("GET of a bad size: status %d", status)
	}
	for _, method := range []string{"PUT", "POST"} {
		if status, got := do(t, method, base+"/upload", NewContent(size)); status != 200 || strings.TrimSpace(string(got)) != SHA256(size) {
			t.Errorf("%s: status %d, %q", method, status, got)
		}
	}
	if status, got := do(t, "POST", base+"/discard", NewContent(size)); status != 200 || strings.TrimSpace(string(got)) != "1000000" {
		t.Errorf("discard: status %d, %q", status, got)
	}
	if status, got := do(t, "GET", base+"/peer", nil); status != 200 || strings.TrimSpace(string(got)) != "127.0.0.1" {
		t.Errorf("peer: status %d, %q", status, got)
	}
}

func TestEcho(t *testing.T) {
	s, err := ServeEcho(testContext(t), Local{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var conns []net.Conn
	for _, address := range []string{"127.0.0.1", "::1"} {
		c, err := net.Dial("tcp", net.JoinHostPort(address, fmt.Sprint(s.Port())))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
			t.Errorf("%s: %q, %v", address, got, err)
		}
		conns = append(conns, c)
	}
	if got := s.Connections(); got != 2 {
		t.Errorf("%d connections, want 2", got)
	}
	if err := conns[0].(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(conns[0]); err != nil || len(rest) != 0 {
		t.Errorf("after half-close: %q, %v; want a clean end", rest, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n, err := conns[1].Read(make([]byte, 1)); err == nil {
		t.Errorf("a connection survived Close: read %d bytes", n)
	}
}

func BenchmarkContent(b *testing.B) {
	b.SetBytes(64 << 20)
	for b.Loop() {
		_, _ = NewContent(64 << 20).WriteTo(io.Discard)
	}
}

func BenchmarkHTTP(b *testing.B) {
	base := serveHTTP(b)
	b.SetBytes(256 << 20)
	for b.Loop() {
		resp, err := http.Get(base + "/bytes/256MiB")
		if err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, 256<<10)
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, buf); err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}
