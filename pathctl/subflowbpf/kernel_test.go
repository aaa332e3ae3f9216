package subflowbpf_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/subflowbpf"
	"mpproxy/test/conns"
)

// TestTimeoutsOnBothEnds lets one of two subflows fall silent while data is in
// flight, for each family and each end: what the kernel's timer does must come
// out, and nothing of it on the other subflow.
func TestTimeoutsOnBothEnds(t *testing.T) {
	for _, family := range []string{"v4", "v6"} {
		for _, dark := range []int{0, 1} {
			name := family + "/" + []string{"initial", "joined"}[dark]
			t.Run(name+"/client", func(t *testing.T) { silence(t, family, dark, false) })
			t.Run(name+"/server", func(t *testing.T) { silence(t, family, dark, true) })
		}
	}
}

func silence(t *testing.T, family string, dark int, fromServer bool) {
	w := watch(t, subflowbpf.Config{})
	h := newHosts(t, family)
	client, server := h.connect(t, family)
	from, to, end := client, server, 0
	if fromServer {
		from, to, end = server, client, 1
	}
	token, err := from.Token()
	must(t, err)
	pump(t, from, to)
	local := linkAddrs[dark][family][end].Addr()
	conns.Until(t, "data on the subflow", func() bool { return subflowOn(t, from, local).TCP.BytesAcked > 100_000 })
	want := subflowOn(t, from, local)
	known := subflowEnds(t, client, server)
	must(t, h.links[dark].SetBlackhole(true))
	since := time.Now()

	retransmitted := false
	note := func(e subflowbpf.Event) {
		if e.Local == want.Local && e.Kind == subflowbpf.Retransmit && e.Segments > 0 {
			retransmitted = true
		}
		if end := (subflowEnd{e.Token, e.Local, e.Remote}); e.TCPState == uapi.TCPEstablished && !known[end] {
			t.Errorf("event of something else: %v", e)
		}
	}
	isTimeout := func(e subflowbpf.Event) bool {
		return e.Kind == subflowbpf.Timeout && e.Token == token && e.Local == want.Local && e.When.After(since)
	}
	first := await(t, w, "the first timeout", isTimeout, note)
	compareWithKernel(t, first, subflowOn(t, from, local).TCP)
	second := await(t, w, "the second timeout", isTimeout, note)
	third := await(t, w, "the third timeout", isTimeout, note)
	for i, e := range []subflowbpf.Event{first, second, third} {
		if e.Retransmits != first.Retransmits+i || e.TCPState != uapi.TCPEstablished || e.InFlight == 0 || e.SRTT <= 0 {
			t.Errorf("timeout %d says %+v", i+1, e)
		}
		if e.RTO != first.RTO<<i {
			t.Errorf("timeout %d says RTO %v: it does not double from %v", i+1, e.RTO, first.RTO)
		}
	}
	// The kernel's timer can be late, and never early: the second wait began
	// when the first ended. A tick is the resolution of both ends.
	if took := second.When.Sub(first.When); took < second.RTO-20*time.Millisecond {
		t.Errorf("the second timeout came after %v, before its RTO of %v", took, second.RTO)
	}
	if !retransmitted {
		t.Error("no retransmission was seen")
	}
}

// A subflowEnd is what an event says about where it happened.
type subflowEnd struct {
	token         uapi.Token
	local, remote netip.AddrPort
}

// subflowEnds returns those of some connections.
func subflowEnds(t *testing.T, of ...*mptcpsock.Conn) map[subflowEnd]bool {
	t.Helper()
	ends := make(map[subflowEnd]bool)
	for _, c := range of {
		token, err := c.Token()
		must(t, err)
		for _, s := range conns.AwaitSubflows(t, c, 2) {
			ends[subflowEnd{token, s.Local, s.Remote}] = true
		}
	}
	return ends
}

// compareWithKernel holds an event against what TCP_INFO says later: there RTO
// is doubled once for each back-off.
func compareWithKernel(t *testing.T, e subflowbpf.Event, now uapi.TCPInfo) {
	t.Helper()
	if now.Backoff == 0 {
		t.Errorf("a timeout was reported, and the kernel has not backed off: %+v", now)
	}
	if was := now.RTO >> now.Backoff; (was - e.RTO).Abs() > time.Millisecond {
		t.Errorf("RTO %v, but the kernel says %v after %d back-offs, which was %v", e.RTO, now.RTO, now.Backoff, was)
	}
}

// pump sends until the test ends.
func pump(t *testing.T, from, to net.Conn) {
	t.Helper()
	must(t, to.SetReadDeadline(time.Time{}))
	done := make(chan struct{}, 2)
	go send(from, done)
	go receive(to, done)
	t.Cleanup(func() {
		_, _ = from.Close(), to.Close()
		<-done
		<-done
	})
}

func send(c net.Conn, done chan<- struct{}) {
	defer func() { done <- struct{}{} }()
	for chunk := make([]byte, 64<<10); ; {
		if _, err := c.Write(chunk); err != nil {
			return
		}
	}
}

func receive(c net.Conn, done chan<- struct{}) {
	defer func() { done <- struct{}{} }()
	for chunk := make([]byte, 64<<10); ; {
		if _, err := c.Read(chunk); err != nil {
			return
		}
	}
}

// TestStatesAndJoins follows a connection from its SYN to its end: both ends,
// both subflows.
func TestStatesAndJoins(t *testing.T) {
	w := watch(t, subflowbpf.Config{RTT: true})
	h := newHosts(t, "v4")
	client, server := h.connect(t, "v4")
	missing := subflowEnds(t, client, server)
	all := len(missing)
	await(t, w, "all ends established", func(e subflowbpf.Event) bool {
		if e.Kind == subflowbpf.State && e.TCPState == uapi.TCPEstablished {
			if e.OldState != uapi.TCPSynSent && e.OldState != uapi.TCPSynRecv && e.OldState != uapi.TCPNewSynRecv {
				t.Errorf("established out of %v", e.OldState)
			}
			delete(missing, subflowEnd{e.Token, e.Local, e.Remote})
		}
		return len(missing) == 0
	})
	conns.Exchange(t, client, server)
	await(t, w, "a round-trip time", func(e subflowbpf.Event) bool {
		return e.Kind == subflowbpf.RTT && e.MeasuredRTT >= 10*time.Millisecond && e.SRTT >= 10*time.Millisecond
	})
	must(t, client.Close())
	must(t, server.Close())
	closed := 0
	await(t, w, "all ends closed", func(e subflowbpf.Event) bool {
		if e.Kind == subflowbpf.State && e.TCPState == uapi.TCPClose {
			closed++
		}
		return closed == all
	})
}

// TestConnectTimeout tells of a SYN that nobody answers, under the token that
// the connection will have.
func TestConnectTimeout(t *testing.T) {
	w := watch(t, subflowbpf.Config{})
	h := newHosts(t, "v4")
	must(t, h.links[0].SetBlackhole(true))
	to := netip.AddrPortFrom(linkAddrs[0]["v4"][1].Addr(), 4000)
	failed := make(chan error, 1)
	ctx := testContext(t)
	go dialInVain(ctx, h, to, failed)
	e := await(t, w, "the timeout of a SYN", func(e subflowbpf.Event) bool { return e.Kind == subflowbpf.Timeout })
	if e.TCPState != uapi.TCPSynSent || e.Remote != to || e.Token == 0 || e.Retransmits != 1 {
		t.Errorf("got %+v", e)
	}
	must(t, h.links[0].SetBlackhole(false))
	must(t, <-failed)
}

// dialInVain wants the connection to be refused, once the link works again.
func dialInVain(ctx context.Context, h hosts, to netip.AddrPort, failed chan<- error) {
	failed <- h.client.Do(ctx, func() error {
		c, err := (&mptcpsock.Dialer{Strict: true}).Dial(ctx, to)
		if err == nil {
			_ = c.Close()
			return errors.New("connected, and nobody listens")
		}
		return nil
	})
}

// TestPlainTCPIsSilent runs a plain TCP connection into a timeout beside an MPTCP
// one: only the latter is reported.
func TestPlainTCPIsSilent(t *testing.T) {
	w := watch(t, subflowbpf.Config{RTT: true})
	h := newHosts(t, "v4")
	addr := linkAddrs[0]["v4"][1].Addr()
	var ln net.Listener
	ctx := testContext(t)
	must(t, h.server.Do(ctx, func() (err error) {
		var lc net.ListenConfig
		lc.SetMultipathTCP(false)
		ln, err = lc.Listen(ctx, "tcp", netip.AddrPortFrom(addr, 0).String())
		return err
	}))
	t.Cleanup(func() { _ = ln.Close() })
	plain, err := h.client.DialContext(ctx, "tcp", ln.Addr().String())
	must(t, err)
	accepted, err := ln.Accept()
	must(t, err)
	port := plain.LocalAddr().(*net.TCPAddr).Port
	client, server := h.connect(t, "v4")
	pump(t, plain, accepted)
	pump(t, client, server)
	conns.Until(t, "data on plain TCP", func() bool { return tcpInfo(t, plain).Bytes_acked > 100_000 })
	must(t, h.links[0].SetBlackhole(true))
	await(t, w, "a timeout of MPTCP while plain TCP has one too", func(e subflowbpf.Event) bool {
		for _, p := range []netip.AddrPort{e.Local, e.Remote} {
			if int(p.Port()) == port {
				t.Errorf("plain TCP was reported (port %s): %v", strconv.Itoa(port), e)
			}
		}
		return e.Kind == subflowbpf.Timeout && tcpInfo(t, plain).Backoff > 0
	})
}

func tcpInfo(t testing.TB, c net.Conn) *unix.TCPInfo {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	must(t, err)
	var info *unix.TCPInfo
	var infoErr error
	must(t, raw.Control(func(fd uintptr) {
		info, infoErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}))
	must(t, infoErr)
	return info
}
