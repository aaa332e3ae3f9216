//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/proxy"

	"mpproxy/test/netns"
	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/rig"
)

// route says how a download travels.
type route int

const (
	viaProxy route = iota
	dslAlone
)

// fetcher is an application on the client's host that downloads.
type fetcher interface {
	// fetch writes size bytes of content to w.
	fetch(ctx context.Context, via route, size int64, w io.Writer) error
	// describe is how a user would do the same.
	describe(via route, size int64) string
}

// newFetcher returns curl where it is installed.
func newFetcher(r *rig.Rig) fetcher {
	if path, err := exec.LookPath("curl"); err == nil {
		return curl{r, path}
	}
	return goClient{r}
}

func contentURL(size int64) string {
	return fmt.Sprintf("http://%s/bytes/%dM", netns.DestinationName, size/1e6)
}

type curl struct {
	rig  *rig.Rig
	path string
}

func (c curl) args(via route, size int64) []string {
	if via == viaProxy {
		return []string{"--socks5-hostname", rig.Socks, contentURL(size)}
	}
	return []string{"-4", "--interface", c.rig.Links[0].Name, contentURL(size)}
}

func (c curl) describe(via route, size int64) string {
	return "curl " + strings.Join(c.args(via, size), " ")
}

func (c curl) fetch(ctx context.Context, via route, size int64, w io.Writer) error {
	cmd := c.rig.Client.Command(ctx, c.path, append([]string{"--silent", "--show-error", "--fail"}, c.args(via, size)...)...)
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", c.describe(via, size), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}

// goClient does without curl, with the SOCKS5 client of golang.org/x/net.
type goClient struct{ rig *rig.Rig }

func (g goClient) describe(via route, size int64) string {
	if via == viaProxy {
		return fmt.Sprintf("GET %s through socks5h://%s (by Go's SOCKS5 client; curl is not installed)", contentURL(size), rig.Socks)
	}
	return fmt.Sprintf("GET %s from %s (by Go's HTTP client; curl is not installed)", contentURL(size), g.rig.Links[0].Client4)
}

func (g goClient) fetch(ctx context.Context, via route, size int64, w io.Writer) error {
	dial := g.dialDirect
	if via == viaProxy {
		d, err := proxy.SOCKS5("tcp", rig.Socks, nil, hostDialer{g.rig.Client})
		if err != nil {
			return err
		}
		dial = d.(proxy.ContextDialer).DialContext
	}
	t := &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true}
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, contentURL(size), nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: t}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", req.URL, resp.Status)
	}
	_, err = io.Copy(w, resp.Body)
	return err
}

// dialDirect connects to the destination. The client's first link has the
// better default route; that it was taken is checked.
func (g goClient) dialDirect(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := g.rig.Client.DialContext(ctx, "tcp", g.rig.DestinationAddr(false, 80))
	if err != nil {
		return nil, err
	}
	first := g.rig.Links[0]
	if got := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr(); got != first.Client4 {
		conn.Close()
		return nil, fmt.Errorf("the direct download left from %s instead of %s, the address of %s", got, first.Client4, first.Name)
	}
	return conn, nil
}

// hostDialer gives package proxy a host to dial from.
type hostDialer struct{ host *netns.Host }

func (d hostDialer) Dial(network, addr string) (net.Conn, error) { return d.host.Dial(network, addr) }

func (d hostDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d.host.DialContext(ctx, network, addr)
}

// transfer is a download under way. Only received may be read before done is
// closed.
type transfer struct {
	size     int64
	begun    time.Time
	received atomic.Int64 // bytes
	done     chan struct{}
	took     time.Duration
	pause    time.Duration // the longest between two pieces
	err      error

	sum   hash.Hash
	piece time.Time // when the last one came
}

// startTransfer downloads on a goroutine that ends soon after ctx does.
func startTransfer(ctx context.Context, f fetcher, via route, size int64) *transfer {
	t := &transfer{size: size, begun: time.Now(), done: make(chan struct{}), sum: sha256.New()}
	go t.run(ctx, f, via)
	return t
}

func (t *transfer) run(ctx context.Context, f fetcher, via route) {
	defer close(t.done)
	t.err = f.fetch(ctx, via, t.size, t)
	t.took = time.Since(t.begun)
	if t.err == nil {
		t.err = t.verify()
	}
}

// Write implements io.Writer for the fetcher.
func (t *transfer) Write(b []byte) (int, error) {
	now := time.Now()
	if !t.piece.IsZero() {
		t.pause = max(t.pause, now.Sub(t.piece))
	}
	t.piece = now
	t.received.Add(int64(len(b)))
	return t.sum.Write(b)
}

func (t *transfer) verify() error {
	got, want := hex.EncodeToString(t.sum.Sum(nil)), apps.SHA256(t.size)
	if n := t.received.Load(); n != t.size || got != want {
		return fmt.Errorf("the download is not what was sent: %d bytes with SHA-256 %s instead of %d bytes with %s", n, got, t.size, want)
	}
	return nil
}
