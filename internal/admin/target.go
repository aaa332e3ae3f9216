package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"mpproxy/internal/status"
)

// ErrNotRunning: nobody listens on the socket.
var ErrNotRunning = errors.New("it is not running")

// maxExplanation bounds what is read of an answer that is an error.
const maxExplanation = 4 << 10

// Target is a running program.
type Target struct {
	Program string // "mpproxy-client" or "mpproxy-server"
	Socket  string // path of its admin socket
}

// Status asks for a snapshot whose rates are measured over interval (0 to 5 s; 0
// means no rates). The error wraps ErrNotRunning if nobody answers.
func (t Target) Status(ctx context.Context, interval time.Duration) (status.Status, error) {
	var st status.Status
	resp, err := t.query(ctx, "/v1/status?"+url.Values{"interval": {interval.String()}}.Encode(), interval+10*time.Second)
	if err != nil {
		return st, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, maxExplanation))
		return st, fmt.Errorf("asking %s: %s: %s", t.Program, resp.Status, strings.TrimSpace(string(why)))
	}
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		return st, fmt.Errorf("reading the status of %s: %w", t.Program, err)
	}
	return st, nil
}

// query sends a request. The timeout bounds the whole exchange; 0 leaves that to
// ctx.
func (t Target) query(ctx context.Context, path string, timeout time.Duration) (*http.Response, error) {
	c := http.Client{
		Timeout: timeout,
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", t.Socket)
		}},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://mpproxy"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, &notRunningError{t}
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s belongs to another user (%s): run this as that user", t.Program, t.Socket)
	case err != nil:
		return nil, fmt.Errorf("asking %s: %w", t.Program, err)
	}
	return resp, nil
}

// notRunningError says which program is not running, and what to do. It Is
// ErrNotRunning.
type notRunningError struct{ Target }

func (e *notRunningError) Error() string {
	return fmt.Sprintf("no %s is running (nobody listens on %s): start one with `%s run`, or name its socket with --socket", e.Program, e.Socket, e.Program)
}

func (e *notRunningError) Is(target error) bool { return target == ErrNotRunning }
