package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/rig"
)

// sampleEvery is how often the counters of the links are read.
const sampleEvery = 50 * time.Millisecond

// Step is something that is done to a running system.
type Step struct {
	At time.Duration // since the flow began
	Do func(*rig.Rig) error
}

// Bulk is one flow, as fast as it goes, through the proxy.
type Bulk struct {
	Mode   string
	Upload bool
	For    time.Duration
	Script []Step // in the order of their times, all before For
}

// Run is what was seen of a flow.
type Run struct {
	Begun    time.Time
	Arrivals Arrivals
	Samples  []Sample
}

// Run sends, checks every byte that arrives, and plays the script. It returns
// after For; an error when a byte was wrong or the flow ended.
func (b Bulk) Run(ctx context.Context, r *rig.Rig) (Run, error) {
	client, server, err := Connect(ctx, r, b.Mode)
	if err != nil {
		return Run{}, err
	}
	defer client.Close()
	defer server.Close()
	from, to := server, client
	if b.Upload {
		from, to = client, server
	}
	run := Run{Begun: time.Now()}
	ctx, cancel := context.WithDeadline(ctx, run.Begun.Add(b.For))
	defer cancel()
	sent, arrived := make(chan struct{}), make(chan error, 1)
	go send(from, sent)
	go func() { arrived <- run.receive(to, b.For) }()
	sampled := make(chan []Sample, 1)
	go func() { sampled <- sampleLinks(ctx, r, run.Begun) }()
	err = play(ctx, r, run.Begun, b.Script)
	if err != nil {
		cancel()
		_ = to.Close()
	}
	rerr := <-arrived
	cancel()
	run.Samples = <-sampled
	_ = from.Close()
	<-sent
	return run, errors.Join(err, rerr)
}

// send fills a connection until it is closed.
func send(conn net.Conn, done chan<- struct{}) {
	defer close(done)
	_, _ = io.Copy(conn, apps.NewContent(apps.MaxSize))
}

func play(ctx context.Context, r *rig.Rig, begun time.Time, script []Step) error {
	for _, s := range script {
		select {
		case <-time.After(time.Until(begun.Add(s.At))):
		case <-ctx.Done():
			return fmt.Errorf("the step at %s did not come: %w", s.At, ctx.Err())
		}
		if err := s.Do(r); err != nil {
			return fmt.Errorf("the step at %s: %w", s.At, err)
		}
	}
	return nil
}

func (run *Run) receive(conn net.Conn, length time.Duration) error {
	_ = conn.SetReadDeadline(run.Begun.Add(length))
	want := apps.NewContent(apps.MaxSize)
	buf, ref := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			run.Arrivals = append(run.Arrivals, Arrival{time.Since(run.Begun), n})
		}
		if _, rerr := io.ReadFull(want, ref[:n]); rerr != nil || !bytes.Equal(buf[:n], ref[:n]) {
			return errors.New("the bytes that arrived are not those that were sent")
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the flow ended after %s: %w", time.Since(run.Begun).Round(time.Millisecond), err)
		}
	}
}

// Connect opens a connection through the proxy in a mode, and returns its ends
// at the application and at the destination.
func Connect(ctx context.Context, r *rig.Rig, mode string) (client, server net.Conn, err error) {
	l, err := apps.Listen(ctx, r.Destination, 0)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	to := netip.AddrPortFrom(r.Destination4, l.Addr().(*net.TCPAddr).AddrPort().Port())
	d, err := Dialer(r, mode)
	if err != nil {
		return nil, nil, err
	}
	if client, err = d.DialContext(ctx, "tcp", to.String()); err != nil {
		return nil, nil, err
	}
	const patience = 10 * time.Second
	_ = l.SetDeadline(time.Now().Add(patience))
	if server, err = l.Accept(); err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	return client, server, nil
}
