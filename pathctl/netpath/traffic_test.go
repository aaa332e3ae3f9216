package netpath

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// TestTrafficLeavesBySourceAddress needs the rules to be right: by the main
// table alone everything leaves through wan0.
func TestTrafficLeavesBySourceAddress(t *testing.T) {
	l := newLab(t)
	l.host.sysctl("ipv4/conf/all/rp_filter", "0")
	l.host.sysctl("ipv4/conf/wan1/rp_filter", "0")
	r := l.host.run(Config{SourceRouting: true})
	r.wait("both paths", bothUp)
	for _, tt := range []struct{ name, iface, from, to string }{
		{"IPv4 second link", "wan1", "198.51.100.2", "203.0.113.1"},
		{"IPv6 second link", "wan1", "2001:db8:2::2", "2001:db8:ff::1"},
		{"IPv4 first link", "wan0", "192.0.2.2", "203.0.113.1"},
		{"IPv6 first link", "wan0", "2001:db8:1::2", "2001:db8:ff::1"},
	} {
		t.Run(tt.name, func(t *testing.T) { l.transfer(t, r.m, tt.iface, tt.from, tt.to) })
	}
}

// TestStrictReversePathFilter: with source routing the strict filter does no
// harm; without, the path says what it needs, until it has got that.
func TestStrictReversePathFilter(t *testing.T) {
	l := newLab(t)
	l.host.sysctl("ipv4/conf/wan1/rp_filter", "1")
	l.host.sysctl("ipv4/conf/all/rp_filter", "1")
	r := l.host.run(Config{SourceRouting: true})
	ps := r.wait("both paths", bothUp)
	diff(t, "warning with source routing", "", find(ps, "wan1").Warning)
	l.transfer(t, r.m, "wan1", "198.51.100.2", "203.0.113.1")
	r.stop()

	r = l.host.run(Config{})
	ps = r.wait("a warning", func(ps []Path) bool { return find(ps, "wan1").Warning != "" })
	diff(t, "warning on the best path", "", find(ps, "wan0").Warning)
	l.host.sysctl("ipv4/conf/wan1/rp_filter", "2")
	r.wait("no warning", func(ps []Path) bool { return find(ps, "wan1").Warning == "" })
}

// transfer sends bytes from one address to the server and checks by which
// interface they left.
func (l lab) transfer(t *testing.T, m *Monitor, iface, from, to string) {
	t.Helper()
	before, err := m.Counters(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.send(from, to); err != nil {
		t.Fatal(err)
	}
	after, err := m.Counters(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, wan := range []string{"wan0", "wan1"} {
		sent := after[wan].TxBytes - before[wan].TxBytes
		if used := sent >= transferBytes; used != (wan == iface) {
			t.Errorf("%s sent %d bytes of a transfer from %s", wan, sent, from)
		}
	}
}

func (l lab) send(from, to string) error {
	var ln net.Listener
	listen := func() (err error) { ln, err = net.Listen("tcp", net.JoinHostPort(to, "0")); return err }
	if err := inNetNS(l.router.fd, listen); err != nil {
		return err
	}
	defer func() { _ = ln.Close() }()
	got := make(chan error, 1)
	go receiveAll(ln, got)

	var c net.Conn
	dial := func() (err error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: waitTimeout, FallbackDelay: -1}
		c, err = d.Dial("tcp", ln.Addr().String())
		return err
	}
	if err := inNetNS(l.host.fd, dial); err != nil {
		return err
	}
	_ = c.SetDeadline(time.Now().Add(waitTimeout))
	_, err := c.Write(make([]byte, transferBytes))
	err = errors.Join(err, c.Close())
	return errors.Join(err, <-got)
}

func receiveAll(ln net.Listener, done chan<- error) {
	_ = ln.(*net.TCPListener).SetDeadline(time.Now().Add(waitTimeout))
	c, err := ln.Accept()
	if err != nil {
		done <- err
		return
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(waitTimeout))
	n, err := io.Copy(io.Discard, c)
	if err == nil && n != transferBytes {
		err = fmt.Errorf("received %d bytes", n)
	}
	done <- err
}

// TestLocalNetworksStayReachable: a path's address must go on answering to
// networks that the main table knows by a route of their own.
func TestLocalNetworksStayReachable(t *testing.T) {
	l := newLab(t)
	lan := newTestNS(t)
	l.host.veth("lan0", lan, "eth0")
	l.host.addAddr("lan0", "10.9.0.1/24")
	lan.addAddr("eth0", "10.9.0.2/24")
	lan.addDefault("eth0", "10.9.0.1", 0)
	r := l.host.run(Config{SourceRouting: true})
	r.wait("both paths", bothUp)
	if err := (lab{host: l.host, router: lan}).send("198.51.100.2", "10.9.0.2"); err != nil {
		t.Errorf("from a path's address to a local network: %v", err)
	}
}

// TestSameSubnetTwice: WiFi and Ethernet in one home have one subnet. What is on
// the link is reached by the link that the address belongs to.
func TestSameSubnetTwice(t *testing.T) {
	host, first, second := newTestNS(t), newTestNS(t), newTestNS(t)
	for i, peer := range []*testNS{first, second} {
		wan := fmt.Sprintf("wan%d", i)
		host.veth(wan, peer, "up0")
		host.addAddr(wan, fmt.Sprintf("192.0.2.%d/24", 2+i))
		host.addDefault(wan, "192.0.2.1", 100+i)
		peer.addAddr("up0", fmt.Sprintf("192.0.2.%d/24", 52+i))
	}
	r := host.run(Config{SourceRouting: true})
	r.wait("both paths", func(ps []Path) bool { return len(ps) == 2 && ps[1].Addrs[0].Table != 0 })
	for i, peer := range []*testNS{first, second} {
		if err := (lab{host: host, router: peer}).send(fmt.Sprintf("192.0.2.%d", 2+i), fmt.Sprintf("192.0.2.%d", 52+i)); err != nil {
			t.Errorf("on link %d: %v", i, err)
		}
	}
}

const transferBytes = 1 << 20
