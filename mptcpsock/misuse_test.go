package mptcpsock

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"mpproxy/mptcpsock/subopt"
	"mpproxy/pathctl/policy"
)

// anOp is an operation that changes subflows, on any connection.
type anOp struct {
	name string
	do   func(context.Context, *Conn) error
}

func changingOps() []anOp {
	return []anOp{
		{"OpenSub", func(ctx context.Context, c *Conn) error {
			_, err := c.OpenSub(ctx, port0(here4[1]), netip.AddrPort{}, Normal)
			return err
		}},
		{"CloseSub", func(ctx context.Context, c *Conn) error { return c.CloseSub(ctx, 1) }},
		{"SetPriority", func(ctx context.Context, c *Conn) error { return c.SetPriority(ctx, 1, Backup) }},
		{"Prefer", func(ctx context.Context, c *Conn) error { return c.Prefer(ctx, 1) }},
		{"AddAddrs", func(ctx context.Context, c *Conn) error { return c.AddAddrs(ctx, port0(here4[1])) }},
		{"RemoveAddrs", func(ctx context.Context, c *Conn) error { return c.RemoveAddrs(ctx, port0(here4[0])) }},
		{"SetSubflows", func(ctx context.Context, c *Conn) error { return c.SetSubflows(ctx, 2) }},
		{"Steer", func(ctx context.Context, c *Conn) error { return c.Steer(ctx, SteerBy(policy.Aggregate)) }},
		{"SetFateSharing", func(_ context.Context, c *Conn) error { return c.SetFateSharing(true) }},
	}
}

func wantError(t *testing.T, what string, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("%s: %v, want %v", what, err, w)
		}
	}
}

// TestMisuse: each operation tells what is wrong with the connection.
func TestMisuse(t *testing.T) {
	needMPTCP(t)
	for _, on := range []string{"127.0.0.1:0", "[::1]:0"} {
		closed, _ := connect(t, Dialer{}, listen(t, ListenConfig{}, on), netip.AddrPort{})
		must(t, closed.Close())
		plain, _ := connect(t, Dialer{}, listen(t, ListenConfig{Disable: true}, on), netip.AddrPort{})
		alone, _ := connect(t, Dialer{}, listen(t, ListenConfig{}, on), netip.AddrPort{})
		for _, op := range changingOps() {
			ctx := testContext(t)
			wantError(t, op.name+" of a closed connection", op.do(ctx, closed), net.ErrClosed)
			wantError(t, op.name+" of a plain TCP connection", op.do(ctx, plain), ErrNotMultipath)
			wantError(t, op.name+" without a Controller", op.do(ctx, alone), ErrNoController)
			var oe *OpError
			if err := op.do(ctx, alone); !errors.As(err, &oe) || oe.Op == "" {
				t.Errorf("%s: %v is no *OpError that says what failed", op.name, err)
			}
		}
		for name, do := range map[string]func(*Conn) error{
			"SubIDs":   func(c *Conn) error { _, err := c.SubIDs(); return err },
			"SubTuple": func(c *Conn) error { _, err := c.SubTuple(1); return err },
			"Pairs":    func(c *Conn) error { _, err := c.Pairs(); return err },
			"ConnID":   func(c *Conn) error { _, err := c.ConnID(); return err },
			"Enabled":  func(c *Conn) error { _, err := c.Enabled(); return err },
			"Enable":   func(c *Conn) error { return c.Enable(true) },
			"Stats":    func(c *Conn) error { _, err := c.Stats(); return err },
			"SubTCPInfo": func(c *Conn) error {
				_, err := c.SubTCPInfo(1)
				return err
			},
			"SubGetsockopt": func(c *Conn) error {
				_, err := c.SubGetsockopt(testContext(t), 1, subopt.Congestion)
				return err
			},
			"SetRedundancy": func(c *Conn) error { return c.SetRedundancy(2) },
		} {
			wantError(t, name+" of a closed connection", do(closed), net.ErrClosed)
		}
		_, err := plain.ConnID()
		wantError(t, "ConnID of plain TCP", err, ErrNotMultipath)
		_, err = alone.SubTuple(99)
		wantError(t, "SubTuple of nothing", err, ErrUnknownSubflow, fs.ErrNotExist)
		_, err = alone.SubTCPInfo(99)
		wantError(t, "SubTCPInfo of nothing", err, ErrUnknownSubflow)
		wantError(t, "SubSetsockopt of nothing", alone.SubSetsockopt(testContext(t), 99, subopt.Mark, subopt.Number(1)), ErrUnknownSubflow)
		wantError(t, "redundancy", alone.SetRedundancy(2), ErrNotSupported, errors.ErrUnsupported)
		must(t, alone.SetRedundancy(1))
		wantError(t, "set late", alone.Enable(false), ErrConnected)
	}
}

// TestDialWithoutController: what needs one says so before anything is sent.
func TestDialWithoutController(t *testing.T) {
	to := netip.MustParseAddrPort("127.0.0.1:1")
	two := []netip.AddrPort{port0(here4[0]), port0(here4[1])}
	for name, d := range map[string]Dialer{
		"service": {Service: ServiceHandover}, "profile": {Profile: ProfileLatency},
		"hints": {Hints: Hints{Amount: 1 << 30}}, "steering": {Steering: SteerBy(policy.Lazy)},
		"addresses": {LocalAddrs: two}, "fate sharing": {FateSharing: true},
	} {
		_, err := d.Dial(testContext(t), to)
		wantError(t, name, err, ErrNoController)
	}
	for name, d := range map[string]Dialer{
		"contradiction": {Disable: true, Strict: true}, "no such service": {Service: 99}, "no such profile": {Profile: 99},
	} {
		_, err := d.Dial(testContext(t), to)
		wantError(t, name, err, ErrInvalid, fs.ErrInvalid)
	}
	_, err := (&ListenConfig{LocalAddrs: two}).Listen(testContext(t), to)
	wantError(t, "listen", err, ErrNoController)
	_, err = (&ListenConfig{Steering: SteerBy(policy.Handover)}).Listen(testContext(t), to)
	wantError(t, "listen, steered", err, ErrNoController)
	_, err = (&ListenConfig{Controller: &Controller{}, Steering: Steering{Mode: policy.Spec{Base: "x"}}}).Listen(testContext(t), to)
	wantError(t, "listen, no such mode", err, ErrInvalid)
	_, err = (&ListenConfig{Disable: true, Strict: true}).Listen(testContext(t), to)
	wantError(t, "listen", err, ErrInvalid)
	_, err = (&Dialer{LocalAddrs: []netip.AddrPort{port0(here6[0])}}).Dial(testContext(t), to)
	wantError(t, "family", err, ErrAddressFamily)
	wantError(t, "add", new(Dialer).AddAddrs(netip.AddrPort{}), ErrInvalid)
	wantError(t, "remove", new(ListenConfig).RemoveAddrs(port0(here4[0])), ErrUnknownAddress)
}

// TestControlledMisuse: with a Controller, wrong arguments and wrong states.
func TestControlledMisuse(t *testing.T) {
	if !inside(t) {
		return
	}
	w := newWorld(t)
	p := w.dial(Dialer{Strict: true}, there4[0])
	c := p.conn
	open := func(local, remote string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := c.OpenSub(ctx, netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote), Normal)
			return err
		}
	}
	for _, tt := range []struct {
		name string
		do   func(context.Context) error
		want []error
	}{
		{"families differ", open("198.51.100.1:0", "[2001:db8:1::2]:80"), []error{ErrAddressFamily}},
		{"not our address", open("203.0.113.1:0", "198.51.100.2:80"), []error{syscall.EADDRNOTAVAIL}},
		{"no route", open("198.51.100.1:0", "203.0.113.1:80"), []error{syscall.ENETUNREACH}},
		{"refused", open("198.51.100.1:0", "198.51.100.2:9"), []error{ErrSubflowFailed, syscall.ECONNREFUSED}},
		{"no port", open("198.51.100.1:0", "198.51.100.2:0"), []error{ErrInvalid, fs.ErrInvalid}},
		{"zone that is not there", open("[fe80::1%nowhere0]:0", "[2001:db8:1::2]:80"), []error{ErrInvalid}},
		{"priority", func(ctx context.Context) error {
			_, err := c.OpenSub(ctx, port0(here4[1]), netip.AddrPort{}, 7)
			return err
		}, []error{ErrInvalid}},
		{"unknown subflow", func(ctx context.Context) error { return c.CloseSub(ctx, 99) }, []error{ErrUnknownSubflow}},
		{"unknown subflow's priority", func(ctx context.Context) error { return c.SetPriority(ctx, 99, Backup) }, []error{ErrUnknownSubflow}},
		{"last subflow", func(ctx context.Context) error { return c.CloseSub(ctx, onlySub(t, c).ID) }, []error{ErrLastSubflow}},
		{"prefer nothing", func(ctx context.Context) error { return c.Prefer(ctx) }, []error{ErrInvalid}},
		{"no subflows", func(ctx context.Context) error { return c.SetSubflows(ctx, 0) }, []error{ErrInvalid}},
		{"too many subflows", func(ctx context.Context) error { return c.SetSubflows(ctx, 9) }, []error{ErrInvalid}},
		{"add no address", func(ctx context.Context) error { return c.AddAddrs(ctx, netip.AddrPort{}) }, []error{ErrInvalid}},
		{"add a foreign address", func(ctx context.Context) error { return c.AddAddrs(ctx, netip.MustParseAddrPort("203.0.113.9:0")) }, []error{syscall.EADDRNOTAVAIL}},
		{"add a family that the peer has not", func(ctx context.Context) error { return c.AddAddrs(ctx, port0(here6[1])) }, []error{ErrAddressFamily}},
		{"remove a foreign address", func(ctx context.Context) error { return c.RemoveAddrs(ctx, netip.MustParseAddrPort("203.0.113.8:0")) }, []error{ErrUnknownAddress, fs.ErrNotExist}},
		{"mode that is none", func(ctx context.Context) error {
			return c.Steer(ctx, Steering{Mode: policy.Spec{Name: "x", Base: "x"}})
		}, []error{ErrInvalid}},
		{"cancelled", func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			_, err := c.OpenSub(ctx, port0(here4[1]), netip.AddrPort{}, Normal)
			return err
		}, []error{context.Canceled}},
		{"second Conn", func(context.Context) error { return w.ctl.Attach(&Conn{TCPConn: c.TCPConn}) }, []error{ErrInvalid}},
	} {
		t.Run(tt.name, func(t *testing.T) { wantError(t, tt.name, tt.do(testContext(t)), tt.want...) })
	}
	t.Run("IPv6 subflow of an IPv4 socket", func(t *testing.T) {
		w := w.in(t)
		ln := listen(t, ListenConfig{Strict: true, Controller: w.ctl}, "0.0.0.0:0")
		w.peer.do(t, func() {
			far, err := (&Dialer{Strict: true}).Dial(testContext(t), netip.AddrPortFrom(here4[0], ln.Addr().Port()))
			must(t, err)
			bound(t, far)
		})
		c := accept(t, ln)
		_, err := c.OpenSub(testContext(t), port0(here6[1]), netip.AddrPortFrom(there6[1], 80), Normal)
		wantError(t, "OpenSub", err, ErrAddressFamily)
	})
	t.Run("nothing from the peer yet", func(t *testing.T) {
		w := w.in(t)
		ln := w.listenThere(port0(netip.IPv6Unspecified()))
		c, _ := connect(t, Dialer{Strict: true, Controller: w.ctl}, ln, netip.AddrPortFrom(there4[0], ln.Addr().Port()))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := c.OpenSub(ctx, port0(here4[1]), netip.AddrPort{}, Normal)
		if err != nil { // the handshake's last acknowledgement may have come
			wantError(t, "OpenSub", err, ErrNotEstablished, context.DeadlineExceeded)
		}
	})
	t.Run("steered", func(t *testing.T) {
		ctx := testContext(t)
		must(t, c.Steer(ctx, SteerBy(policy.Single)))
		for _, op := range changingOps() {
			switch op.name {
			case "OpenSub", "CloseSub", "SetPriority", "Prefer":
				wantError(t, op.name, op.do(ctx, c), ErrSteered)
			}
		}
		must(t, c.SetManual(ctx))
		if id, err := c.OpenSub(ctx, port0(here4[1]), netip.AddrPort{}, Normal); err != nil {
			t.Errorf("OpenSub after SetManual: %d, %v", id, err)
		}
	})
	t.Run("Controller closed", func(t *testing.T) {
		must(t, w.ctl.Close())
		for _, op := range changingOps() {
			wantError(t, op.name, op.do(testContext(t), c), ErrNoController)
		}
		if _, err := c.SubIDs(); err != nil {
			t.Errorf("reading works without: %v", err)
		}
		_, err := (&Dialer{Controller: w.ctl}).Dial(testContext(t), p.conn.RemoteAddrPort())
		wantError(t, "dial", err, ErrNoController)
	})
}

// TestKernelManaged: a connection from before the Controller.
func TestKernelManaged(t *testing.T) {
	if !inside(t) {
		return
	}
	w := newBareWorld(t)
	p := w.dial(Dialer{Strict: true}, there4[0])
	w.ctl = openController(t)
	must(t, w.ctl.Attach(p.conn))
	_, err := p.conn.OpenSub(testContext(t), port0(here4[1]), netip.AddrPort{}, Normal)
	wantError(t, "OpenSub", err, ErrKernelManaged)
}

// TestWithoutPrivileges: reading works, the rest says what is missing. The
// process gives up its capabilities, so it is one of its own.
func TestWithoutPrivileges(t *testing.T) {
	if !inside(t) {
		return
	}
	w := newBareWorld(t)
	p := w.dial(Dialer{Strict: true}, there4[0])
	onThread(t, func() {
		// Of this thread alone; it ends with the test.
		must(t, dropCapabilities())
		_, err := OpenController(testContext(t), ControllerConfig{StateDir: t.TempDir()})
		wantError(t, "OpenController", err, ErrNotPermitted, fs.ErrPermission)
		err = p.conn.SubSetsockopt(testContext(t), 1, subopt.Mark, subopt.Number(1))
		wantError(t, "SubSetsockopt", err, ErrNotPermitted, fs.ErrPermission)
		congestion, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
		must(t, err)
		if v, err := p.conn.SubGetsockopt(testContext(t), 1, subopt.Congestion); err != nil || v.Text()+"\n" != string(congestion) {
			t.Errorf("congestion control %v, %v, want %s", v, err, congestion)
		}
		if v, err := p.conn.SubGetsockopt(testContext(t), 1, subopt.TOS); err != nil || v != subopt.Number(0) {
			t.Errorf("TOS %v, %v", v, err)
		}
		_, err = p.conn.SubGetsockopt(testContext(t), 1, subopt.MinRTO)
		wantError(t, "SubGetsockopt", err, ErrNotPermitted)
		if ids, err := p.conn.SubIDs(); err != nil || len(ids) != 1 {
			t.Errorf("SubIDs: %v, %v", ids, err)
		}
		if pairs, err := p.conn.Pairs(); err != nil || len(pairs) != 1 {
			t.Errorf("Pairs: %v, %v", pairs, err)
		}
		if st, err := p.conn.Stats(); err != nil || len(st.Subflows) != 1 || st.Sent == 0 {
			t.Errorf("Stats: %+v, %v", st, err)
		}
		if _, err := p.conn.ConnID(); err != nil {
			t.Error(err)
		}
	})
}
