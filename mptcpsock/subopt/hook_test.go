package subopt_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/subopt"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/test/conns"
	"mpproxy/test/linux"
)

// cookie returns the SO_COOKIE of a connection.
func cookie(t testing.TB, c *mptcpsock.Conn) uint64 {
	t.Helper()
	raw, err := c.SyscallConn()
	must(t, err)
	var n uint64
	var optErr error
	must(t, raw.Control(func(fd uintptr) { n, optErr = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_COOKIE) }))
	must(t, optErr)
	return n
}

// wants checks options of an end by Get and by the kernel's diagnosis.
func (w world) wants(t *testing.T, s *subopt.Setter, e end, congestion string, minRTO time.Duration) {
	t.Helper()
	ctx := testContext(t)
	if got, err := s.Get(ctx, e.local, e.remote, subopt.Congestion); err != nil || got != subopt.Text(congestion) {
		t.Errorf("%v: congestion control %v, %v, want %v", e, got, err, congestion)
	}
	if got, err := s.Get(ctx, e.local, e.remote, subopt.MinRTO); err != nil || got != subopt.Duration(minRTO) {
		t.Errorf("%v: minimum RTO %v, %v, want %v", e, got, err, minRTO)
	}
	if got := w.diagnose(t, e).congestion; got != congestion {
		t.Errorf("%v: the kernel runs %q, want %q", e, got, congestion)
	}
}

// TestRulesForAcceptedSubflows gives the subflows that a listener accepts, the
// first one and the join to another address, different options.
func TestRulesForAcceptedSubflows(t *testing.T) {
	for _, family := range []string{"IPv4", "IPv6"} {
		t.Run(family, func(t *testing.T) {
			w := newWorld(t, family)
			s := open(t, w.server)
			var rules []*subopt.Rule
			for i, o := range []struct {
				congestion string
				minRTO     time.Duration
			}{{"reno", 40 * time.Millisecond}, {"cubic", 120 * time.Millisecond}} {
				m := subopt.Match{Local: netip.AddrPortFrom(addrs[family][i][1], port)}
				for option, v := range map[subopt.Option]subopt.Value{
					subopt.Congestion: subopt.Text(o.congestion), subopt.MinRTO: subopt.Duration(o.minRTO),
				} {
					r, err := s.SetOnConnect(m, option, v)
					must(t, err)
					rules = append(rules, r)
				}
			}
			p := w.dial(t, family, w.listen(t, netip.AddrPortFrom(netip.IPv6Unspecified(), port)))
			ends := p.ends(t)
			w.wants(t, s, ends[1], "reno", 40*time.Millisecond)
			w.wants(t, s, ends[3], "cubic", 120*time.Millisecond)
			for _, r := range rules {
				if o, err := r.Outcome(); err != nil || o != (subopt.Outcome{Applied: 1}) {
					t.Errorf("outcome %+v, %v", o, err)
				}
				must(t, r.Remove())
				must(t, r.Remove())
				if _, err := r.Outcome(); !errors.Is(err, subopt.ErrClosed) {
					t.Errorf("the outcome of a rule that was removed: %v", err)
				}
			}
		})
	}
}

// mptcpSocket opens a socket in the client.
func (w world) mptcpSocket(t *testing.T, family int) (fd int, cookie uint64) {
	t.Helper()
	must(t, w.client.Do(testContext(t), func() (err error) {
		fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_MPTCP)
		return err
	}))
	t.Cleanup(func() { _ = unix.Close(fd) })
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	must(t, err)
	return fd, cookie
}

func sockaddr(family int, a netip.AddrPort) unix.Sockaddr {
	if family == unix.AF_INET {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

// TestRulesBeforeEstablishment looks at a subflow whose SYN nobody answers: what
// the rules say holds already, and is in the SYN.
func TestRulesBeforeEstablishment(t *testing.T) {
	for _, tt := range []struct {
		name, family string
		domain       int
	}{
		{"IPv4", "IPv4", unix.AF_INET},
		{"IPv6", "IPv6", unix.AF_INET6},
		{"IPv4 on a dual-stack socket", "IPv4", unix.AF_INET6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.family)
			s := open(t, w.client)
			to := netip.AddrPortFrom(w.nobody(t, tt.family), port)
			fd, cookie := w.mptcpSocket(t, tt.domain)
			match := subopt.Match{Cookie: cookie, Remote: to}
			for option, v := range map[subopt.Option]subopt.Value{
				subopt.Congestion: subopt.Text("cubic"), subopt.MinRTO: subopt.Duration(40 * time.Millisecond),
				subopt.TOS: subopt.Number(0x28), subopt.Mark: subopt.Number(7),
			} {
				r, err := s.SetOnConnect(match, option, v)
				must(t, err)
				t.Cleanup(func() {
					o, err := r.Outcome()
					if option == subopt.TOS && mayLackTOS(tt.family, o.Err) && tt.domain == unix.AF_INET6 {
						t.Log(o.Err)
						return
					}
					if err != nil || o != (subopt.Outcome{Applied: 1}) {
						t.Errorf("%v: outcome %+v, %v", option, o, err)
					}
				})
			}
			seen := w.sniff(t, w.client, "one0")
			must(t, unix.Bind(fd, sockaddr(tt.domain, netip.AddrPortFrom(addrs[tt.family][0][0], 5000))))
			if err := unix.Connect(fd, sockaddr(tt.domain, to)); err != unix.EINPROGRESS {
				t.Fatal("connect: ", err)
			}
			e := end{local: netip.AddrPortFrom(addrs[tt.family][0][0], 5000), remote: to}
			info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
			must(t, err)
			if info.State != uint8(uapi.TCPSynSent) {
				t.Fatalf("state %d, want SYN_SENT", info.State)
			}
			w.wants(t, s, e, "cubic", 40*time.Millisecond)
			if d := w.diagnose(t, e); d.mark != 7 {
				t.Errorf("the kernel has the mark %d, want 7", d.mark)
			}
			lacking := tt.name == "IPv4 on a dual-stack socket" && !linux.Since(6, 18)
			if got, ok := seen(e); !ok || got != 0x28 && !lacking {
				t.Errorf("the SYN has the class %#x (seen: %v), want 0x28", got, ok)
			}
		})
	}
}

// TestRulesForOpenedSubflows connects with rules for the initial subflow and for
// the join, both of the connection's cookie, then adds one at the accepted end for
// a third subflow. What the rules said must hold when the subflows are established
// and have carried data.
func TestRulesForOpenedSubflows(t *testing.T) {
	for _, family := range []string{"IPv4", "IPv6"} {
		t.Run(family, func(t *testing.T) {
			w := newWorld(t, family)
			s, server := open(t, w.client), open(t, w.server)
			ln := w.listen(t, netip.AddrPortFrom(netip.IPv6Unspecified(), port))
			fd, number := w.mptcpSocket(t, unix.AF_INET6) // as mptcpsock's dialer
			congestion, minRTO := []string{"reno", "cubic"}, []time.Duration{40 * time.Millisecond, 120 * time.Millisecond}
			for i := range 2 {
				m := subopt.Match{Cookie: number, Remote: netip.AddrPortFrom(addrs[family][i][1], port)}
				_, err := s.SetOnConnect(m, subopt.Congestion, subopt.Text(congestion[i]))
				must(t, err)
				_, err = s.SetOnConnect(m, subopt.MinRTO, subopt.Duration(minRTO[i]))
				must(t, err)
			}
			if err := unix.Connect(fd, sockaddr(unix.AF_INET6, netip.AddrPortFrom(addrs[family][0][1], port))); err != unix.EINPROGRESS {
				t.Fatal("connect: ", err)
			}
			accepted, err := ln.Accept()
			must(t, err)
			t.Cleanup(func() { _ = accepted.Close() })
			_, err = accepted.Write([]byte{'x'})
			must(t, err)
			ends := make(map[netip.Addr]end)
			for _, f := range conns.AwaitSubflows(t, accepted, 2) {
				ends[f.Local.Addr()] = end{local: f.Remote, remote: f.Local}
			}
			for i := range 2 {
				w.wants(t, s, ends[addrs[family][i][1]], congestion[i], minRTO[i])
			}

			m := subopt.Match{Cookie: cookie(t, accepted)}
			r, err := server.SetOnConnect(m, subopt.Congestion, subopt.Text("reno"))
			must(t, err)
			third, err := server.SetOnConnect(m, subopt.MinRTO, subopt.Duration(80*time.Millisecond))
			must(t, err)
			w.join(t, map[string]netip.Addr{"IPv4": addr("198.51.100.7"), "IPv6": addr("2001:db8:2::7")}[family])
			conns.Until(t, "the rule to be applied", func() bool {
				o, err := third.Outcome()
				must(t, err)
				return o.Applied == 1
			})
			if o, err := r.Outcome(); err != nil || o != (subopt.Outcome{Applied: 1}) {
				t.Errorf("outcome %+v, %v", o, err)
			}
			for _, f := range conns.AwaitSubflows(t, accepted, 3) {
				e := end{local: f.Remote, remote: f.Local}
				if known, ok := ends[f.Local.Addr()]; !ok || known != e {
					w.wants(t, server, end{server: true, local: f.Local, remote: f.Remote}, "reno", 80*time.Millisecond)
				}
			}
		})
	}
}

// join gives the client one address more on the second link, and lets it open a
// subflow from there.
func (w world) join(t *testing.T, from netip.Addr) {
	t.Helper()
	ctx := testContext(t)
	must(t, w.client.Do(ctx, func() error {
		if err := up("two0", from); err != nil {
			return err
		}
		c, err := mptcppm.Dial(nil)
		if err != nil {
			return err
		}
		defer c.Close()
		return c.AddEndpoint(ctx, mptcppm.Endpoint{Addr: from, ID: 5, Flags: mptcppm.FlagSubflow})
	}))
}

// TestRuleThatFails wants the kernel's reasons in the outcome.
func TestRuleThatFails(t *testing.T) {
	w := newWorld(t, "IPv4")
	s := open(t, w.server)
	m := subopt.Match{Local: netip.AddrPortFrom(addrs["IPv4"][0][1], port)}
	for o, tt := range map[subopt.Option]struct {
		value subopt.Value
		want  error
	}{
		subopt.Congestion: {subopt.Text("nonesuch"), subopt.ErrUnknownCongestion},
		subopt.MinRTO:     {subopt.Duration(time.Microsecond), subopt.ErrInvalid},
	} {
		r, err := s.SetOnConnect(m, o, tt.value)
		must(t, err)
		defer func() {
			if got, err := r.Outcome(); err != nil || got.Applied != 0 || got.Failed != 1 || !errors.Is(got.Err, tt.want) {
				t.Errorf("%v: outcome %+v, %v, want %v", o, got, err, tt.want)
			}
		}()
	}
	w.dial(t, "IPv4", w.listen(t, netip.AddrPortFrom(netip.IPv6Unspecified(), port)))
}
