package scene

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
	Gate   *Gate
	stderr bytes.Buffer
	done   chan error
}

// Curl starts one through the proxy; args follow.
func Curl(t *testing.T, r *rig.Rig, g *Gate, in io.Reader, out io.Writer, args ...string) *curlRun {
	t.Helper()
	run := &curlRun{Gate: g, done: make(chan error, 1)}
	run.cmd = r.Client.Command(t.Context(), Need(t, "curl"), append([]string{
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

// End waits for curl's end, and returns its error with what it said.
func (c *curlRun) End(t *testing.T) error {
	t.Helper()
	c.Gate.release()
	select {
	case err := <-c.done:
		if err != nil {
			return fmt.Errorf("curl: %w: %s", err, strings.TrimSpace(c.stderr.String()))
		}
		return nil
	case <-Patient(t).Done():
		return errUnfinished
	}
}

// Download is a GET that stops at the gate.
type Download struct {
	*curlRun
	Sink *sink
	Size int64
}

func StartDownload(t *testing.T, r *rig.Rig, g *Gate, size int64, args ...string) *Download {
	t.Helper()
	s := NewSink(g)
	args = append(args, fmt.Sprintf("http://%s/bytes/%d", netns.DestinationName, size))
	return &Download{Curl(t, r, g, nil, s, args...), s, size}
}

// Finish lets the rest pass and checks every byte.
func (d *Download) Finish(t *testing.T) {
	t.Helper()
	if err := d.End(t); err != nil {
		t.Fatal(err)
	}
	d.Sink.Check(t, d.Size)
}

// upload is a PUT that stops at the gate.
type upload struct {
	*curlRun
	answer *bytes.Buffer
	size   int64
}

func StartUpload(t *testing.T, r *rig.Rig, g *Gate, size int64, args ...string) *upload {
	t.Helper()
	answer := new(bytes.Buffer)
	args = append(args, "-T", "-", fmt.Sprintf("http://%s/upload", netns.DestinationName))
	return &upload{Curl(t, r, g, newSource(g, size), answer, args...), answer, size}
}

// Finish lets the rest pass and checks the sum that the destination computed.
func (u *upload) Finish(t *testing.T) {
	t.Helper()
	if err := u.End(t); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(u.answer.String()); got != apps.SHA256(u.size) {
		t.Errorf("the destination received SHA-256 %s, want %s", got, apps.SHA256(u.size))
	}
}
