package mptcpsock

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListenErrors(t *testing.T) {
	needMPTCP(t)
	ln := listen(t, ListenConfig{}, "127.0.0.1:0")
	for _, tt := range []struct {
		on   netip.AddrPort
		want error
	}{
		{ln.Addr(), unix.EADDRINUSE},
		{netip.MustParseAddrPort("203.0.113.1:0"), unix.EADDRNOTAVAIL},
		{netip.AddrPort{}, nil},
	} {
		before := openDescriptors(t)
		got, err := (&ListenConfig{}).Listen(testContext(t), tt.on)
		if err == nil {
			_ = got.Close()
			t.Errorf("%v: no error", tt.on)
			continue
		}
		var op *net.OpError
		if !errors.As(err, &op) || op.Net != "mptcp" || op.Op != "listen" || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%v: got %v, want %v", tt.on, err, tt.want)
		}
		if after := openDescriptors(t); after > before {
			t.Errorf("%v: %d descriptors before, %d after", tt.on, before, after)
		}
	}
}

// TestAcceptAfterClose checks that Close ends a waiting Accept, and how.
func TestAcceptAfterClose(t *testing.T) {
	needMPTCP(t)
	ln := listen(t, ListenConfig{}, "[::]:0")
	done := make(chan error)
	go acceptOnce(ln, done)
	must(t, ln.Close())
	if err := <-done; !isClosed(err) || IsTemporary(err) {
		t.Errorf("accept: %v", err)
	}
}

func acceptOnce(ln *Listener, done chan<- error) {
	_, err := ln.Accept()
	done <- err
}

// TestDescriptorLimit checks that running out of descriptors passes.
func TestDescriptorLimit(t *testing.T) {
	needMPTCP(t)
	ln := listen(t, ListenConfig{}, "127.0.0.1:0")
	c, err := (&Dialer{}).Dial(testContext(t), ln.Addr())
	must(t, err)
	bound(t, c)

	var before unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: before.Max}))
	_, acceptErr := ln.Accept()
	_, dialErr := (&Dialer{}).Dial(testContext(t), ln.Addr())
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before))

	if !errors.Is(acceptErr, unix.EMFILE) || !IsTemporary(acceptErr) {
		t.Errorf("accept at the limit: %v", acceptErr)
	}
	if !errors.Is(dialErr, unix.EMFILE) {
		t.Errorf("dial at the limit: %v", dialErr)
	}
	s := accept(t, ln)
	checkMultipath(t, s)
}

// TestListenAgain checks that a port can be listened on again while
// connections of the listener before are still there.
func TestListenAgain(t *testing.T) {
	needMPTCP(t)
	ln := listen(t, ListenConfig{}, "127.0.0.1:0")
	c, s := connect(t, Dialer{}, ln, ln.Addr())
	must(t, ln.Close())
	again := listen(t, ListenConfig{}, ln.Addr().String())
	must(t, s.Close())
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end of the stream", err)
	}
	connect(t, Dialer{}, again, again.Addr())
}

func TestIsTemporary(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{net.ErrClosed, false},
		{unix.EBADF, false},
		{unix.EINVAL, false},
		{fmt.Errorf("accept: %w", unix.EMFILE), true},
		{&net.OpError{Op: "accept", Err: unix.ECONNABORTED}, true},
	} {
		if got := IsTemporary(tt.err); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.err, got, tt.want)
		}
	}
}
