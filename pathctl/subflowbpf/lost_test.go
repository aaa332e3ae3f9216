package subflowbpf_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/pathctl/subflowbpf"
	"mpproxy/test/conns"
	"mpproxy/test/netns"
)

// newLoopback returns a host and a listener on its loopback.
func newLoopback(t testing.TB) (*netns.Host, *mptcpsock.Listener) {
	t.Helper()
	netns.Require(t)
	h := conns.NewHost(t, "host")
	var ln *mptcpsock.Listener
	ctx := testContext(t)
	must(t, h.Do(ctx, func() (err error) {
		ln, err = (&mptcpsock.ListenConfig{Strict: true}).Listen(ctx, netip.MustParseAddrPort("127.0.0.1:4000"))
		return err
	}))
	t.Cleanup(func() { _ = ln.Close() })
	must(t, ln.SetDeadline(time.Now().Add(60*time.Second)))
	return h, ln
}

// dialLoopback makes a connection.
func dialLoopback(t testing.TB, h *netns.Host, ln *mptcpsock.Listener) (client, server *mptcpsock.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	must(t, h.Do(ctx, func() (err error) {
		client, err = (&mptcpsock.Dialer{Strict: true}).Dial(ctx, ln.Addr())
		return err
	}))
	server, err := ln.Accept()
	must(t, err)
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	conns.Exchange(t, client, server)
	return client, server
}

// openAndClose makes a connection that ends in good order: a dozen State events.
func openAndClose(t testing.TB, h *netns.Host, ln *mptcpsock.Listener) {
	t.Helper()
	client, server := dialLoopback(t, h, ln)
	must(t, client.Close())
	if _, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Fatal("want the end of the stream, got ", err)
	}
	must(t, server.Close())
}

// TestLostEventsAreTold does not receive while more happens than the smallest
// ring holds.
func TestLostEventsAreTold(t *testing.T) {
	w := watch(t, subflowbpf.Config{RingSize: 1})
	h, ln := newLoopback(t)
	lost := func() uint64 {
		n, err := w.Lost()
		must(t, err)
		return n
	}
	for i := 0; lost() == 0; i++ {
		if i == 1000 {
			t.Fatal("nothing is lost in 1000 connections")
		}
		openAndClose(t, h, ln)
	}
	var gap *subflowbpf.LostError
	kept := 0
	for e, err := range w.All(testContext(t)) {
		if errors.As(err, &gap) {
			break
		}
		must(t, err)
		if e.Kind != subflowbpf.State {
			t.Errorf("got %v", e)
		}
		kept++
	}
	if !errors.Is(gap, subflowbpf.ErrEventsLost) || gap.Count == 0 || gap.Count > lost() {
		t.Errorf("gap of %d events, %d in all: %v", gap.Count, lost(), gap)
	}
	t.Logf("%d events kept, %d lost", kept, gap.Count)
	// The stream goes on, without telling the same again. What ended late may
	// have been lost after the gap was told.
	openAndClose(t, h, ln)
	told := gap.Count
	for {
		_, err := w.Receive(testContext(t))
		if !errors.As(err, &gap) {
			must(t, err)
			break
		}
		told += gap.Count
	}
	if told > lost() {
		t.Errorf("%d events were told as lost, and %d were", told, lost())
	}
}
