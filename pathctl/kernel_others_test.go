package pathctl

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mpproxy/internal/hoststate"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/test/netns"
)

// TestSecondOfItsRole: a program that is started by mistake beside another one
// leaves that one's endpoints and limits alone, also when it ends.
func TestSecondOfItsRole(t *testing.T) {
	for _, role := range []string{"client", "concentrator"} {
		t.Run(role, func(t *testing.T) {
			l := newLab(t)
			pm := l.client
			if role == "concentrator" {
				pm = l.concentrator
			}
			must(t, pm.SetLimits(testContext(t), mptcppm.Limits{Subflows: 1}))
			env := envAnnounce + "=" + l.Concentrator4.String()
			first := l.start(t, role, env)
			during, raised := endpoints(t, pm), limits(t, pm)
			second := l.start(t, role, env)
			waitFor(t, second, hoststate.ErrInUse.Error())
			stop(t, second)
			wantSame(t, "endpoints after the second ended", during, endpoints(t, pm))
			wantSame(t, "limits after the second ended", raised, limits(t, pm))
			stop(t, first)
			wantEndpoints(t, "after both ended", pm)
			wantLimits(t, "after both ended", pm, 1, 0)
		})
	}
}

// TestMoreAddressesThanTheKernelTakes: the best paths get what there is.
func TestMoreAddressesThanTheKernelTakes(t *testing.T) {
	var links []netns.LinkConfig
	for i := range 5 {
		links = append(links, netns.LinkConfig{Name: fmt.Sprintf("link%d", i)})
	}
	l := newLab(t, links...)
	p := l.start(t, "client")
	waitFor(t, p, "status active=true endpoints=8")
	waitFor(t, p, "is not registered: the kernel takes 8 endpoints")
	if got := endpoints(t, l.client); len(got) != mptcppm.MaxEndpoints || got[0].Addr != l.Links[0].Client4 {
		t.Errorf("endpoints %v, want %d, the first link's among them", got, mptcppm.MaxEndpoints)
	}
	stop(t, p)
	wantEndpoints(t, "after it stopped", l.client)
}

// TestImplicitEndpoint: the kernel makes one by itself when a subflow leaves
// from an address that has none.
func TestImplicitEndpoint(t *testing.T) {
	l := newLab(t)
	must(t, l.client.SetLimits(testContext(t), mptcppm.Limits{Subflows: 2, AddAddrAccepted: 2}))
	must(t, l.concentrator.SetLimits(testContext(t), mptcppm.Limits{Subflows: 8}))
	must(t, l.concentrator.AddEndpoint(testContext(t), mptcppm.Endpoint{ID: 5, Addr: l.Links[1].Gateway4, Flags: mptcppm.FlagSignal}))
	connect(t, l)
	eventually(t, "the kernel's own endpoint", l.client, func(e []mptcppm.Endpoint) bool {
		return len(e) == 1 && e[0].Flags&mptcppm.FlagImplicit != 0 && e[0].Addr == l.Links[1].Client4
	})
	p := l.start(t, "client")
	waitFor(t, p, "status active=true endpoints=2")
	got := endpoints(t, l.client)
	want := []mptcppm.Endpoint{l.own(t, 0, 0), l.own(t, 1, 1)}
	if !slices.Equal(got, want) {
		t.Errorf("endpoints %v, want %v", got, want)
	}
	stop(t, p)
}

// connect makes an MPTCP connection that does not belong to the controller,
// from the first link, and exchanges data on it.
func connect(t *testing.T, l *lab) {
	t.Helper()
	var listener net.Listener
	must(t, l.Concentrator.Do(testContext(t), func() (err error) {
		var lc net.ListenConfig
		lc.SetMultipathTCP(true)
		listener, err = lc.Listen(t.Context(), "tcp4", "0.0.0.0:8443")
		return err
	}))
	defer listener.Close()
	var client net.Conn
	must(t, l.Client.Do(testContext(t), func() (err error) {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.Links[0].Client4, 0))}
		d.SetMultipathTCP(true)
		client, err = d.DialContext(t.Context(), "tcp4", netip.AddrPortFrom(l.Concentrator4, 8443).String())
		return err
	}))
	t.Cleanup(func() { _ = client.Close() })
	server, err := listener.Accept()
	must(t, err)
	t.Cleanup(func() { _ = server.Close() })
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}, {client, server}} {
		must(t, pair[1].SetDeadline(time.Now().Add(20*time.Second)))
		_, err := pair[0].Write([]byte{'x'})
		must(t, err)
		_, err = io.ReadFull(pair[1], make([]byte, 1))
		must(t, err)
	}
}
