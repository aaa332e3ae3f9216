package scenarios

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/rig"
)

// curlRun is a curl at work in the client's host.
type curlRun struct {
	cmd    *netns.Cmd
	gate   *gate
	stderr bytes.Buffer
	done   chan error
}

// curl starts one through the proxy; args follow.
func curl(t *testing.T, r *rig.Rig, g *gate, in io.Reader, out io.Writer, args ...string) *curlRun {
	t.Helper()
	run := &curlRun{gate: g, done: make(chan error, 1)}
	run.cmd = r.Client.Command(t.Context(), need(t, "curl"), append([]string{
		"-sS", "--fail", "--proxy", "socks5h://" + rig.Socks,
	}, args...)...)
	run.cmd.Stdin, run.cmd.Stdout, run.cmd.Stderr = in, out, &run.stderr
	if err := run.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go run.wait()
	return run
}

func (c *curlRun) wait() { c.done <- c.cmd.Wait() }

// end waits for curl's end, and returns its error with what it said.
func (c *curlRun) end(t *testing.T) error {
	t.Helper()
	c.gate.release()
	select {
	case err := <-c.done:
		if err != nil {
			return fmt.Errorf("curl: %w: %s", err, strings.TrimSpace(c.stderr.String()))
		}
		return nil
	case <-patient(t).Done():
		return errUnfinished
	}
}

// download is a GET that stops at the gate.
type download struct {
	*curlRun
	sink *sink
	size int64
}

func startDownload(t *testing.T, r *rig.Rig, g *gate, size int64, args ...string) *download {
	t.Helper()
	s := newSink(g)
	args = append(args, fmt.Sprintf("http://%s/bytes/%d", netns.DestinationName, size))
	return &download{curl(t, r, g, nil, s, args...), s, size}
}

// finish lets the rest pass and checks every byte.
func (d *download) finish(t *testing.T) {
	t.Helper()
	if err := d.end(t); err != nil {
		t.Fatal(err)
	}
	d.sink.check(t, d.size)
}

// upload is a PUT that stops at the gate.
type upload struct {
	*curlRun
	answer *bytes.Buffer
	size   int64
}

func startUpload(t *testing.T, r *rig.Rig, g *gate, size int64, args ...string) *upload {
	t.Helper()
	answer := new(bytes.Buffer)
	args = append(args, "-T", "-", fmt.Sprintf("http://%s/upload", netns.DestinationName))
	return &upload{curl(t, r, g, newSource(g, size), answer, args...), answer, size}
}

// finish lets the rest pass and checks the sum that the destination computed.
func (u *upload) finish(t *testing.T) {
	t.Helper()
	if err := u.end(t); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(u.answer.String()); got != apps.SHA256(u.size) {
		t.Errorf("the destination received SHA-256 %s, want %s", got, apps.SHA256(u.size))
	}
}
