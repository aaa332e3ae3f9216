package measure

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/proxy"

	"mpproxy/test/netns/rig"
)

// Echo is a conversation through the proxy: a message every so often, whether
// the last one was answered or not, and an answer of the same length.
type Echo struct {
	Mode   string
	Direct bool // plain TCP past the proxy, over the first link: what the network itself allows
	Every  time.Duration
	Size   int // bytes of a message, 8 at least
	For    time.Duration
	Script []Step // in the order of their times, all before For
}

// Reply is what became of a message.
type Reply struct {
	At   time.Duration // since the conversation began
	Took time.Duration // from the write to the last byte of the answer; up to the end if none came
}

// Replies are what was seen of a conversation.
type Replies struct {
	Begun   time.Time
	Replies []Reply // in the order of the messages
	Samples []Sample
	Held    []Wait // when this program, which emulates the links, had to wait
}

// Undisturbed are the messages during whose round trips this program had to wait
// for a processor nowhere: the others show what the machine did, too.
func (rs Replies) Undisturbed() Replies {
	out := rs
	out.Replies = nil
	held := rs.Held
	for _, r := range rs.Replies {
		from := rs.Begun.Add(r.At)
		for len(held) > 0 && !held[0].To.After(from) {
			held = held[1:]
		}
		if len(held) == 0 || !held[0].From.Before(from.Add(r.Took)) {
			out.Replies = append(out.Replies, r)
		}
	}
	return out
}

// Times are the round trips of the messages of a part of the conversation, in
// milliseconds.
func (rs Replies) Times(from, to time.Duration) Distribution {
	var ms []float64
	for _, r := range rs.Replies {
		if r.At >= from && r.At < to {
			ms = append(ms, Millis(r.Took))
		}
	}
	return NewDistribution(ms)
}

// Run converses with the rig's echo server and plays the script. An error means
// that the conversation ended, or that an answer was wrong.
func (e Echo) Run(ctx context.Context, r *rig.Rig) (Replies, error) {
	const echoPort = 7
	var d proxy.ContextDialer = r.Client
	if !e.Direct {
		var err error
		if d, err = Dialer(r, e.Mode); err != nil {
			return Replies{}, err
		}
	}
	conn, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(r.Destination4, echoPort).String())
	if err != nil {
		return Replies{}, err
	}
	defer conn.Close()
	late := WatchLateness()
	rs := Replies{Begun: time.Now()}
	ctx, cancel := context.WithDeadline(ctx, rs.Begun.Add(e.For))
	defer cancel()
	_ = conn.SetDeadline(rs.Begun.Add(e.For))
	sent, heard := make(chan []time.Duration, 1), make(chan error, 1)
	var answers []time.Duration
	go func() { sent <- e.ask(ctx, conn, rs.Begun) }()
	go func() {
		var err error
		answers, err = e.listen(conn, rs.Begun)
		heard <- err
	}()
	sampled := make(chan []Sample, 1)
	go func() { sampled <- sampleLinks(ctx, r, rs.Begun) }()
	err = play(ctx, r, rs.Begun, e.Script)
	if err != nil {
		cancel()
		_ = conn.Close()
	}
	err = errors.Join(err, <-heard)
	cancel()
	for i, at := range <-sent {
		took := e.For - at
		if i < len(answers) {
			took = answers[i] - at
		}
		rs.Replies = append(rs.Replies, Reply{at, took})
	}
	rs.Samples = <-sampled
	rs.Held = late().Held
	return rs, err
}

// ask sends numbered messages and returns when it did.
func (e Echo) ask(ctx context.Context, conn net.Conn, begun time.Time) (sent []time.Duration) {
	tick := time.NewTicker(e.Every)
	defer tick.Stop()
	message := make([]byte, e.Size)
	for {
		binary.BigEndian.PutUint64(message, uint64(len(sent)))
		at := time.Since(begun)
		if _, err := conn.Write(message); err != nil {
			return sent
		}
		sent = append(sent, at)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return sent
		}
	}
}

// listen returns when the answers came.
func (e Echo) listen(conn net.Conn, begun time.Time) (came []time.Duration, err error) {
	message := make([]byte, e.Size)
	for {
		if _, err := io.ReadFull(conn, message); errors.Is(err, os.ErrDeadlineExceeded) {
			return came, nil
		} else if err != nil {
			return came, fmt.Errorf("the conversation ended after %s: %w", time.Since(begun).Round(time.Millisecond), err)
		}
		if n := binary.BigEndian.Uint64(message); n != uint64(len(came)) {
			return came, fmt.Errorf("answer %d came instead of %d", n, len(came))
		}
		came = append(came, time.Since(begun))
	}
}
