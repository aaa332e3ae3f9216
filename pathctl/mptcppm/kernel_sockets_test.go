package mptcppm

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mpproxy/test/linux"
)

// TestKernelWithoutCapability: on a thread without CAP_NET_ADMIN commands that
// change something fail, queries work, and an events socket that was opened
// before goes on.
func TestKernelWithoutCapability(t *testing.T) {
	newNetNS(t)
	ctx, c, w := testContext(t), dialClient(t), watch(t)
	dropCapabilities(t)
	e := Endpoint{ID: 3, Addr: addr("127.0.0.1"), Flags: FlagSubflow}
	for name, err := range map[string]error{
		"add":        c.AddEndpoint(ctx, e),
		"delete":     c.DelEndpoint(ctx, 3),
		"flush":      c.FlushEndpoints(ctx),
		"flags":      c.SetFlags(ctx, e),
		"set limits": c.SetLimits(ctx, Limits{}),
		"announce":   c.Announce(ctx, noToken, e),
		"remove":     c.Remove(ctx, noToken, 3),
		"create":     c.CreateSubflow(ctx, noToken, e, ap("127.0.0.1:1")),
		"destroy":    c.DestroySubflow(ctx, noToken, ap("127.0.0.1:2"), ap("127.0.0.1:1")),
	} {
		t.Run(name, func(t *testing.T) { checkError(t, err, ErrPermission, fs.ErrPermission, syscall.EPERM) })
	}
	_, err := c.Limits(ctx)
	must(t, err)
	_, err = c.Endpoints(ctx)
	must(t, err)
	if _, err := DialEvents(nil); !errors.Is(err, ErrPermission) {
		t.Errorf("joining the events gave %v, want %v", err, ErrPermission)
	}
	if !linux.ListenerEvents() {
		return // nothing tells it of a socket that joined before
	}
	listen(t, "tcp4", "127.0.0.1:0")
	w.await(t, "listener", func(e Event) bool { return e.Kind == EventListenerCreated })
}

// dropCapabilities takes all capabilities from the calling thread, which ends
// with the test.
func dropCapabilities(t *testing.T) {
	t.Helper()
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	must(t, unix.Capset(&hdr, &none[0]))
}

// TestKernelEventsLost overruns a small buffer: the gap is reported, and events
// after it are delivered.
func TestKernelEventsLost(t *testing.T) {
	newNetNS(t)
	needListenerEvents(t)
	ctx := testContext(t)
	events, err := DialEvents(&Config{ReadBuffer: 4096})
	must(t, err)
	defer func() { _ = events.Close() }()
	for range 100 {
		must(t, listen(t, "tcp4", "127.0.0.1:0").Close())
	}
	for lost := false; !lost; {
		_, err := events.Receive(ctx)
		lost = errors.Is(err, ErrEventsLost)
		if err != nil && !lost {
			t.Fatal("got ", err, " before a gap was reported")
		}
		if lost {
			checkError(t, err, ErrEventsLost, nil, syscall.ENOBUFS)
		}
	}
	// The kernel drops all until the buffer is empty; so one event for each that
	// is read, until one comes through.
	after := map[netip.AddrPort]bool{}
	for {
		after[tcpAddr(listen(t, "tcp4", "127.0.0.1:0").Addr())] = true
		ev, err := events.Receive(ctx)
		if errors.Is(err, ErrEventsLost) {
			continue
		}
		must(t, err)
		if ev.Kind == EventListenerCreated && after[ev.Local] {
			return
		}
	}
}

// needListenerEvents skips where the kernel does not tell of listening sockets, which
// these tests make because they are the cheapest events.
func needListenerEvents(t testing.TB) {
	t.Helper()
	if !linux.ListenerEvents() {
		t.Skip("the events of listening sockets came with Linux 6.2")
	}
}

// TestKernelReadBuffer: the buffer may exceed what the system allows to all.
func TestKernelReadBuffer(t *testing.T) {
	newNetNS(t)
	events := dialEvents(t)
	raw, err := events.conn.SyscallConn()
	must(t, err)
	var size int
	must(t, raw.Control(func(fd uintptr) {
		size, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	}))
	must(t, err)
	if size < DefaultReadBuffer {
		t.Errorf("receive buffer of %d bytes, want %d", size, DefaultReadBuffer)
	}
}

// TestKernelNetNS opens sockets in another namespace by its descriptor.
func TestKernelNetNS(t *testing.T) {
	there := newNetNS(t)
	ctx, c := testContext(t), dialClient(t)
	newNetNS(t)
	far, err := Dial(&Config{NetNS: int(there)})
	must(t, err)
	defer func() { _ = far.Close() }()
	must(t, far.SetLimits(ctx, Limits{Subflows: 7}))
	got, err := c.Limits(ctx)
	must(t, err)
	if got.Subflows != 7 {
		t.Errorf("the other namespace has %+v, want 7 subflows", got)
	}
	here, err := dialClient(t).Limits(ctx)
	must(t, err)
	if here.Subflows == 7 {
		t.Error("the calling thread's namespace was changed")
	}
}

func TestKernelReceiveEnds(t *testing.T) {
	newNetNS(t)
	events := dialEvents(t)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error)
	receive := func() { _, err := events.Receive(ctx); got <- err }

	go receive()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("after cancellation: %v", err)
	}
	ctx = testContext(t)
	if linux.ListenerEvents() {
		listen(t, "tcp4", "127.0.0.1:0")
		if _, err := events.Receive(ctx); err != nil {
			t.Errorf("a cancelled wait spoiled the next: %v", err)
		}
	}
	go receive()
	must(t, events.Close())
	if err := <-got; !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

func TestKernelClientEnds(t *testing.T) {
	newNetNS(t)
	c := dialClient(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Limits(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
	must(t, c.Close())
	if _, err := c.Limits(t.Context()); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

// BenchmarkEndpoint is the round trip of adding and deleting an endpoint.
func BenchmarkEndpoint(b *testing.B) {
	newNetNS(b)
	ctx, c := b.Context(), dialClient(b)
	for b.Loop() {
		must(b, c.AddEndpoint(ctx, Endpoint{ID: 1, Addr: addr("192.0.2.1"), Flags: FlagSubflow}))
		must(b, c.DelEndpoint(ctx, 1))
	}
}
