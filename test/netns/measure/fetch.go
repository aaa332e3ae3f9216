package measure

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/net/proxy"

	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/rig"
)

// HTTPClient returns an HTTP client in the client's host that goes through the
// proxy in a mode, with a new connection for each request. An empty mode is the
// configuration's.
func HTTPClient(r *rig.Rig, mode string) (*http.Client, error) {
	d, err := Dialer(r, mode)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{
		DialContext:       d.DialContext,
		DisableKeepAlives: true, DisableCompression: true,
	}}, nil
}

// Dialer returns a dialer in the client's host that goes through the proxy in a
// mode, with a password that nobody asks for: a user name alone cannot be sent.
func Dialer(r *rig.Rig, mode string) (proxy.ContextDialer, error) {
	var auth *proxy.Auth
	if mode != "" {
		auth = &proxy.Auth{User: mode, Password: "x"}
	}
	d, err := proxy.SOCKS5("tcp", rig.Socks, auth, r.Client)
	if err != nil {
		return nil, err
	}
	return d.(proxy.ContextDialer), nil
}

// transferTimeout bounds one transfer, however slow the links.
const transferTimeout = 3 * time.Minute

// Download fetches size bytes, checks them, and says how long it took.
func Download(ctx context.Context, c *http.Client, host string, size int64, check bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	begun := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/bytes/%d", host, size), nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if !check {
		n, err := io.Copy(io.Discard, resp.Body)
		if err == nil && n != size {
			err = fmt.Errorf("got %d bytes of %d", n, size)
		}
		return time.Since(begun), err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, resp.Body); err != nil {
		return 0, err
	}
	took := time.Since(begun)
	if got := hex.EncodeToString(sum.Sum(nil)); got != apps.SHA256(size) {
		return 0, fmt.Errorf("the bytes that arrived are not those that were sent (SHA-256 %s)", got)
	}
	return took, nil
}

// Upload sends size bytes, has them checked, and says how long it took.
func Upload(ctx context.Context, c *http.Client, host string, size int64) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	begun := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+host+"/upload", io.NopCloser(apps.NewContent(size)))
	if err != nil {
		return 0, err
	}
	req.ContentLength = size
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if err != nil {
		return 0, err
	}
	took := time.Since(begun)
	if want := apps.SHA256(size); string(trim(got)) != want {
		return 0, fmt.Errorf("the bytes that arrived are not those that were sent (SHA-256 %s)", got)
	}
	return took, nil
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return b
}
