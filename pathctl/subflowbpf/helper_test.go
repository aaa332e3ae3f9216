package subflowbpf_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/subflowbpf"
	"mpproxy/test/conns"
	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testContext bounds every wait of a test; it is no performance claim.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// watch opens a watcher with eBPF on a cgroup of this process, or skips where
// the privileges for that are missing. It never attaches to a shared cgroup.
func watch(t testing.TB, c subflowbpf.Config) *subflowbpf.Watcher {
	t.Helper()
	c.OwnCgroupOnly = true
	w, err := subflowbpf.Open(c, nil)
	must(t, err)
	t.Cleanup(func() { must(t, w.Close()) })
	if m := w.Mechanism(); m.Kind != subflowbpf.OwnCgroup {
		if errors.Is(m.Why, subflowbpf.ErrPrivileges) || errors.Is(m.Why, subflowbpf.ErrNoCgroup2) {
			t.Skip(m)
		}
		t.Fatal("eBPF should work here: ", m)
	}
	return w
}

// hosts are a client and a server on two links of 5 ms each way, on which
// frames can be made to vanish.
type hosts struct {
	client, server *netns.Host
	links          [2]*link.Link
}

// linkAddrs are the prefixes of each link's ends, client and server, by family.
var linkAddrs = [2]map[string][2]netip.Prefix{
	{"v4": pair("192.0.2.1/28", "192.0.2.2/28"), "v6": pair("2001:db8:1::1/64", "2001:db8:1::2/64")},
	{"v4": pair("198.51.100.1/28", "198.51.100.2/28"), "v6": pair("2001:db8:2::1/64", "2001:db8:2::2/64")},
}

func pair(a, b string) [2]netip.Prefix {
	return [2]netip.Prefix{netip.MustParsePrefix(a), netip.MustParsePrefix(b)}
}

// newHosts makes them. The server announces its address on the second link, so
// that each connection gets a second subflow there.
func newHosts(t testing.TB, family string) hosts {
	t.Helper()
	return newHostsApart(t, family, 5*time.Millisecond, 5*time.Millisecond)
}

// newHostsApart are hosts with those delays.
func newHostsApart(t testing.TB, family string, delays ...time.Duration) hosts {
	t.Helper()
	netns.Require(t)
	ctx := testContext(t)
	h := hosts{client: conns.NewHost(t, "client"), server: conns.NewHost(t, "server")}
	for i := range h.links {
		name := []string{"one0", "two0"}[i]
		p := link.Params{Delay: delays[i]}
		l, err := link.New(ctx, link.Config{
			A: link.End{NS: h.client, Name: name}, B: link.End{NS: h.server, Name: name}, AtoB: p, BtoA: p,
		})
		must(t, err)
		t.Cleanup(func() { must(t, l.Close()) })
		h.links[i] = l
		ends := linkAddrs[i][family]
		must(t, h.client.Do(ctx, func() error { return address(name, ends[0]) }))
		must(t, h.server.Do(ctx, func() error { return address(name, ends[1]) }))
	}
	second := linkAddrs[1][family][1].Addr()
	must(t, h.client.Do(ctx, func() error { return conns.ManagePaths(ctx, netip.Addr{}) }))
	must(t, h.server.Do(ctx, func() error { return conns.ManagePaths(ctx, second) }))
	return h
}

// address gives an interface of the calling thread's namespace an address.
func address(name string, p netip.Prefix) error {
	i, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(p.String())
	if err != nil {
		return err
	}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD // usable at once
	}
	return netlink.AddrAdd(i, a)
}

// connect makes a connection with two subflows, both of them established at both
// ends.
func (h hosts) connect(t testing.TB, family string) (client, server *mptcpsock.Conn) {
	t.Helper()
	return h.connectWith(t, family, func(*mptcpsock.Conn) {})
}

// connectWith calls begun for each end as soon as there is one. Their second subflow
// begins a round trip of the first path later.
func (h hosts) connectWith(t testing.TB, family string, begun func(*mptcpsock.Conn)) (client, server *mptcpsock.Conn) {
	t.Helper()
	to := netip.AddrPortFrom(linkAddrs[0][family][1].Addr(), 4000)
	ctx := testContext(t)
	var ln *mptcpsock.Listener
	must(t, h.server.Do(ctx, func() (err error) {
		ln, err = (&mptcpsock.ListenConfig{Strict: true}).Listen(ctx, netip.AddrPortFrom(netip.IPv6Unspecified(), to.Port()))
		return err
	}))
	t.Cleanup(func() { _ = ln.Close() })
	must(t, ln.SetDeadline(time.Now().Add(30*time.Second)))
	must(t, h.client.Do(ctx, func() (err error) {
		client, err = (&mptcpsock.Dialer{Strict: true}).Dial(ctx, to)
		return err
	}))
	t.Cleanup(func() { _ = client.Close() })
	begun(client)
	server, err := ln.Accept()
	must(t, err)
	t.Cleanup(func() { _ = server.Close() })
	begun(server)
	conns.Exchange(t, client, server)
	conns.Exchange(t, server, client)
	conns.AwaitSubflows(t, client, 2)
	conns.AwaitSubflows(t, server, 2)
	return client, server
}

// subflowOn returns the subflow of a connection whose local address is addr.
func subflowOn(t testing.TB, c *mptcpsock.Conn, addr netip.Addr) mptcpsock.Subflow {
	t.Helper()
	all, err := c.Subflows()
	must(t, err)
	for _, s := range all {
		if s.Local.Addr() == addr {
			return s
		}
	}
	t.Fatalf("no subflow from %v among %v", addr, all)
	return mptcpsock.Subflow{}
}

// await returns the first event that pred likes; those before are dropped after
// each was shown to every one of seen.
func await(t testing.TB, w *subflowbpf.Watcher, what string, pred func(subflowbpf.Event) bool, seen ...func(subflowbpf.Event)) subflowbpf.Event {
	t.Helper()
	for e, err := range w.All(testContext(t)) {
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		for _, f := range seen {
			f(e)
		}
		if pred(e) {
			t.Log(e)
			return e
		}
	}
	return subflowbpf.Event{}
}

// source makes a connection a subflowbpf.Source.
type source struct{ *mptcpsock.Conn }

func (s source) Token() uapi.Token {
	token, err := s.Conn.Token()
	if err != nil {
		return 0
	}
	return token
}

func (s source) Subflows() ([]subflowbpf.Subflow, error) {
	all, err := s.Conn.Subflows()
	subflows := make([]subflowbpf.Subflow, len(all))
	for i, f := range all {
		subflows[i] = subflowbpf.Subflow{ID: f.ID, Local: f.Local, Remote: f.Remote, TCP: f.TCP}
	}
	return subflows, err
}
