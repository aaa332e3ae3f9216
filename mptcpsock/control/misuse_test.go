package control

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
	"mpproxy/pathctl/policy/mode"
	"mpproxy/test/veth"
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
		{"Steer", func(ctx context.Context, c *Conn) error { return c.Steer(ctx, SteerBy(mode.Aggregate)) }},
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

// TestMisuse: each operation tells what is wrong with the connection, dialled or
// accepted.
func TestMisuse(t *testing.T) {
	needMPTCP(t)
	for _, on := range []string{"127.0.0.1:0", "[::1]:0"} {
		var closed, plain, alone [2]*Conn
		closed[0], closed[1] = connect(t, Dialer{}, listen(t, ListenConfig{}, on), netip.AddrPort{})
		plain[0], plain[1] = connect(t, Dialer{}, listen(t, ListenConfig{Disable: true}, on), netip.AddrPort{})
		alone[0], alone[1] = connect(t, Dialer{}, listen(t, ListenConfig{}, on), netip.AddrPort{})
		for i, end := range []string{"dialled", "accepted"} {
			must(t, closed[i].Close())
			t.Run(end+" on "+on, func(t *testing.T) { misuse(t, closed[i], plain[i], alone[i]) })
		}
	}
}

// misuse uses a closed connection, a plain TCP one, and one without Controller.
func misuse(t *testing.T, closed, plain, alone *Conn) {
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
		"SubIDs":     func(c *Conn) error { _, err := c.SubIDs(); return err },
		"SubTuple":   func(c *Conn) error { _, err := c.SubTuple(1); return err },
		"Pairs":      func(c *Conn) error { _, err := c.Pairs(); return err },
		"ConnID":     func(c *Conn) error { _, err := c.ConnID(); return err },
		"Enabled":    func(c *Conn) error { _, err := c.Enabled(); return err },
		"Enable":     func(c *Conn) error { return c.Enable(true) },
		"Stats":      func(c *Conn) error { _, err := c.Stats(); return err },
		"SubTCPInfo": func(c *Conn) error { _, err := c.SubTCPInfo(1); return err },
		"SubGetsockopt": func(c *Conn) error {
			_, err := c.SubGetsockopt(testContext(t), 1, subopt.Congestion)
			return err
		},
		"SubSetsockopt": func(c *Conn) error {
			return c.SubSetsockopt(testContext(t), 1, subopt.Mark, subopt.Number(1))
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
	_, err = alone.SubGetsockopt(testContext(t), 99, subopt.Congestion)
	wantError(t, "SubGetsockopt of nothing", err, ErrUnknownSubflow)
	wantError(t, "SubSetsockopt of nothing", alone.SubSetsockopt(testContext(t), 99, subopt.Mark, subopt.Number(1)), ErrUnknownSubflow)
	wantError(t, "redundancy", alone.SetRedundancy(2), ErrNotSupported, errors.ErrUnsupported)
	must(t, alone.SetRedundancy(1))
	wantError(t, "set late", alone.Enable(false), ErrConnected)
}

// TestDialWithoutController: what needs one says so before anything is sent.
func TestDialWithoutController(t *testing.T) {
	to := netip.MustParseAddrPort("127.0.0.1:1")
	two := []netip.AddrPort{port0(here4[0]), port0(here4[1])}
	for name, d := range map[string]Dialer{
		"service": {Service: ServiceHandover}, "profile": {Profile: ProfileLatency},
		"hints": {Hints: Hints{Amount: 1 << 30}}, "steering": {Steering: SteerBy(mode.Lazy)},
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
	_, err = (&ListenConfig{Steering: SteerBy(mode.Handover)}).Listen(testContext(t), to)
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

// TestControlledMisuse: what is the matter with some connections only.
func TestControlledMisuse(t *testing.T) {
	if !inside(t) {
		return
	}
	w := newWorld(t)
	p := w.dial(Dialer{Strict: true}, there4[0])
	c := p.conn
	wantError(t, "add a foreign address", c.AddAddrs(testContext(t), netip.MustParseAddrPort("203.0.113.9:0")), syscall.EADDRNOTAVAIL)
	wantError(t, "add a family that the peer has not", c.AddAddrs(testContext(t), port0(here6[1])), ErrAddressFamily)
	t.Run("IPv6 subflow of an IPv4 socket", func(t *testing.T) {
		w := w.in(t)
		ln := listen(t, ListenConfig{Strict: true, Controller: w.ctl}, "0.0.0.0:0")
		w.peer.Do(t, func() {
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
	w.both(t, func(t *testing.T, w *world, p pairOfConns, here, there []netip.Addr) {
		ctx := testContext(t)
		must(t, p.conn.Steer(ctx, SteerBy(mode.Single)))
		for _, op := range changingOps() {
			switch op.name {
			case "OpenSub", "CloseSub", "SetPriority", "Prefer":
				wantError(t, op.name+", steered", op.do(ctx, p.conn), ErrSteered)
			}
		}
		must(t, p.conn.SetManual(ctx))
		if id, err := p.conn.OpenSub(ctx, port0(here[1]), w.joinTarget(p, there[1]), Normal); err != nil {
			t.Errorf("OpenSub after SetManual: %d, %v", id, err)
		}
	})
	t.Run("Controller closed", func(t *testing.T) {
		accepted := w.in(t).accept(ListenConfig{Strict: true}, here4[0]).conn
		must(t, w.ctl.Close())
		for _, c := range []*Conn{c, accepted} {
			for _, op := range changingOps() {
				wantError(t, op.name, op.do(testContext(t), c), ErrNoController)
			}
			if _, err := c.SubIDs(); err != nil {
				t.Errorf("reading works without: %v", err)
			}
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
	conns := []*Conn{
		w.dial(Dialer{Strict: true}, there4[0]).conn, w.dial(Dialer{Strict: true}, there6[0]).conn,
		w.accept(ListenConfig{Strict: true}, here4[0]).conn, w.accept(ListenConfig{Strict: true}, here6[0]).conn,
	}
	w.ctl = openController(t)
	for _, c := range conns {
		must(t, w.ctl.Attach(c))
		_, err := c.OpenSub(testContext(t), port0(netip.Addr{}), c.RemoteAddrPort(), Normal)
		wantError(t, "OpenSub", err, ErrKernelManaged)
	}
}

// TestWithoutPrivileges: reading works, the rest says what is missing. The
// process gives up its capabilities, so it is one of its own.
func TestWithoutPrivileges(t *testing.T) {
	if !inside(t) {
		return
	}
	newBareWorld(t).both(t, func(t *testing.T, _ *world, p pairOfConns, _, _ []netip.Addr) {
		veth.OnThread(t, func() { withoutPrivileges(t, p.conn) })
	})
}

// withoutPrivileges takes them from the calling thread alone, which ends with the
// test.
func withoutPrivileges(t *testing.T, c *Conn) {
	must(t, veth.DropCapabilities())
	ctx := testContext(t)
	_, err := OpenController(ctx, ControllerConfig{StateDir: t.TempDir()})
	wantError(t, "OpenController", err, ErrNotPermitted, fs.ErrPermission)
	id := onlySub(t, c).ID
	err = c.SubSetsockopt(ctx, id, subopt.Mark, subopt.Number(1))
	wantError(t, "SubSetsockopt", err, ErrNotPermitted, fs.ErrPermission)
	congestion, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	must(t, err)
	if v, err := c.SubGetsockopt(ctx, id, subopt.Congestion); err != nil || v.Text()+"\n" != string(congestion) {
		t.Errorf("congestion control %v, %v, want %s", v, err, congestion)
	}
	if v, err := c.SubGetsockopt(ctx, id, subopt.TOS); err != nil || v != subopt.Number(0) {
		t.Errorf("TOS %v, %v", v, err)
	}
	_, err = c.SubGetsockopt(ctx, id, subopt.MinRTO)
	wantError(t, "SubGetsockopt", err, ErrNotPermitted)
	if pairs, err := c.Pairs(); err != nil || len(pairs) != 1 {
		t.Errorf("Pairs: %v, %v", pairs, err)
	}
	if st, err := c.Stats(); err != nil || len(st.Subflows) != 1 || st.Sent == 0 {
		t.Errorf("Stats: %+v, %v", st, err)
	}
	if _, err := c.ConnID(); err != nil {
		t.Error(err)
	}
}
