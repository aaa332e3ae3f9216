// Package conns has what tests of several packages do with Multipath TCP
// connections between hosts of package test/netns: let a namespace's kernel make
// second subflows, await them, and send something over them.
//
//	err := client.Do(ctx, func() error { return conns.ManagePaths(ctx, netip.Addr{}) })
//	err = server.Do(ctx, func() error { return conns.ManagePaths(ctx, second) })
//	…
//	conns.Exchange(t, dialled, accepted)
//	subflows := conns.AwaitSubflows(t, dialled, 2)
//
// Each function fails the test when something goes wrong, and each wait has an
// end. Hosts and links are test/netns's; whole programs are test/netns/rig's.
package conns

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/test/netns"
)

// patience bounds every wait; it is no performance claim.
const patience = 30 * time.Second

// look is how long Until waits between two questions.
const look = 2 * time.Millisecond

// NewHost makes a host that is closed with the test, or skips where that is not
// permitted.
func NewHost(t testing.TB, name string) *netns.Host {
	t.Helper()
	netns.Require(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	h, err := netns.NewHost(ctx, netns.HostConfig{Name: name, Logf: t.Logf})
	check(t, err)
	t.Cleanup(func() { check(t, h.Close()) })
	return h
}

// ManagePaths lets connections of the calling thread's namespace have a second
// subflow, and announces an address, if valid.
func ManagePaths(ctx context.Context, announce netip.Addr) error {
	c, err := mptcppm.Dial(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetLimits(ctx, mptcppm.Limits{Subflows: 2, AddAddrAccepted: 2}); err != nil || !announce.IsValid() {
		return err
	}
	return c.AddEndpoint(ctx, mptcppm.Endpoint{Addr: announce, ID: 1, Flags: mptcppm.FlagSignal})
}

// Exchange sends a byte.
func Exchange(t testing.TB, from, to net.Conn) {
	t.Helper()
	check(t, to.SetReadDeadline(time.Now().Add(patience)))
	_, err := from.Write([]byte{'x'})
	check(t, err)
	_, err = io.ReadFull(to, make([]byte, 1))
	check(t, err)
}

// Transfer sends 4 MiB, so much that two subflows are used.
func Transfer(t testing.TB, from, to net.Conn) {
	t.Helper()
	const size = 4 << 20
	received := make(chan error, 1)
	go receive(to, size, received)
	_, err := from.Write(make([]byte, size))
	check(t, errors.Join(err, <-received))
}

func receive(from net.Conn, n int64, received chan<- error) {
	_ = from.SetReadDeadline(time.Now().Add(patience))
	_, err := io.CopyN(io.Discard, from, n)
	received <- err
}

// AwaitSubflows waits until a connection has n established subflows, and returns
// them.
func AwaitSubflows(t testing.TB, c *mptcpsock.Conn, n int) []mptcpsock.Subflow {
	t.Helper()
	var now []mptcpsock.Subflow
	Until(t, "established subflows", func() bool {
		all, err := c.Subflows()
		check(t, err)
		now = slices.DeleteFunc(all, func(s mptcpsock.Subflow) bool { return s.TCP.State != uapi.TCPEstablished })
		return len(now) == n
	})
	return now
}

// Until asks again and again for what no event tells.
func Until(t testing.TB, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, ctx.Err())
		case <-tick.C:
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
