package link_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
)

func TestMain(m *testing.M) {
	if err := netns.Enter(); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
	}
	goleak.VerifyTestMain(m)
}

// bed is a link between two hosts, with an address and a UDP socket at each end.
type bed struct {
	ctx   context.Context
	hosts [2]*netns.Host
	link  *link.Link
	conns [2]*net.UDPConn
	addrs [2]netip.AddrPort
}

const ifName = "wire0"

func forEachEmulator(t *testing.T, test func(t *testing.T, kind link.Kind)) {
	for _, kind := range []link.Kind{link.TAP, link.Packet} {
		t.Run(kind.String(), func(t *testing.T) { test(t, kind) })
	}
}

func newBed(t testing.TB, c link.Config) *bed {
	t.Helper()
	netns.Require(t)
	if c.Kind == link.TAP && os.Getuid() == 0 {
		if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
			t.Skipf("no TAP devices here: %v", err)
		} else {
			f.Close()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	b := &bed{ctx: ctx}
	for i, name := range []string{"a", "b"} {
		h, err := netns.NewHost(ctx, netns.HostConfig{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		// IPv6 would put frames of its own on the link.
		if err := h.SetSysctl(ctx, "net.ipv6.conf.default.disable_ipv6", "1"); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		b.hosts[i] = h
	}
	c.A = link.End{NS: b.hosts[0], Name: ifName}
	c.B = link.End{NS: b.hosts[1], Name: ifName}
	var err error
	if b.link, err = link.New(ctx, c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.link.Close() })
	for i := range b.hosts {
		b.address(t, i)
	}
	return b
}

// address gives an end its address, a permanent neighbour, so that frames are
// those of the test, and a socket.
func (b *bed) address(t testing.TB, i int) {
	t.Helper()
	mac := func(i int) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, byte(i)} }
	ip := func(i int) net.IP { return net.IPv4(192, 0, 2, byte(i+1)) }
	err := b.hosts[i].Do(b.ctx, func() error {
		l, err := netlink.LinkByName(ifName)
		if err != nil {
			return err
		}
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: ip(i), Mask: net.CIDRMask(24, 32)}}
		neigh := &netlink.Neigh{LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: ip(1 - i), HardwareAddr: mac(1 - i)}
		if err := errors.Join(netlink.LinkSetHardwareAddr(l, mac(i)), netlink.AddrAdd(l, addr), netlink.NeighSet(neigh)); err != nil {
			return err
		}
		b.conns[i], err = net.ListenUDP("udp4", &net.UDPAddr{IP: ip(i)})
		if err == nil {
			err = b.conns[i].SetReadBuffer(4 << 20)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b.addrs[i] = b.conns[i].LocalAddr().(*net.UDPAddr).AddrPort()
	t.Cleanup(func() { b.conns[i].Close() })
}

// send sends n datagrams that make frames of the given size, numbered from first.
func (b *bed) send(t testing.TB, from, first, n, frame int) {
	t.Helper()
	data := make([]byte, frame-14-20-8)
	for i := range n {
		binary.BigEndian.PutUint32(data, uint32(first+i))
		// ENETDOWN and the like are the point of some tests.
		if _, err := b.conns[from].WriteToUDPAddrPort(data, b.addrs[1-from]); err != nil {
			t.Logf("send %d: %v", first+i, err)
		}
	}
}

// receive returns the number of the next datagram, -1 when none comes in time.
func (b *bed) receive(t testing.TB, at int, wait time.Duration) int {
	t.Helper()
	var data [2048]byte
	_ = b.conns[at].SetReadDeadline(time.Now().Add(wait))
	n, _, err := b.conns[at].ReadFromUDPAddrPort(data[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return -1
	}
	if err != nil || n < 4 {
		t.Fatalf("receive: %d bytes, %v", n, err)
	}
	return int(binary.BigEndian.Uint32(data[:]))
}

// settle waits until the link has disposed of at least n frames of a direction.
func (b *bed) settle(t testing.TB, d link.Direction, n uint64) link.Counters {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		c, err := b.link.ReadCounters(d)
		if err != nil {
			t.Fatal(err)
		}
		if c.Delivered+c.Lost+c.QueueDrops+c.DownDrops+c.Rejected >= n {
			return c
		}
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			t.Fatalf("%v: waiting for %d frames: %v", d, n, c)
		}
	}
}

const patience = 20 * time.Second

func TestNeverEarlierThanDelay(t *testing.T) {
	forEachEmulator(t, func(t *testing.T, kind link.Kind) {
		const delay = 20 * time.Millisecond
		b := newBed(t, link.Config{Kind: kind, AtoB: link.Params{Delay: delay}})
		fastest := time.Hour
		for i := range 10 {
			start := time.Now()
			b.send(t, 0, i, 1, 100)
			if got := b.receive(t, 1, patience); got != i {
				t.Fatalf("received %d, want %d", got, i)
			}
			fastest = min(fastest, time.Since(start))
		}
		if fastest < delay {
			t.Errorf("a frame took %v over a link with %v", fastest, delay)
		}
		t.Logf("fastest of 10: %v", fastest)
		// The other direction has none; a generous bound, as machines are busy.
		fastest = time.Hour
		for i := range 10 {
			start := time.Now()
			b.send(t, 1, i, 1, 100)
			b.receive(t, 0, patience)
			fastest = min(fastest, time.Since(start))
		}
		if fastest >= delay {
			t.Errorf("the fastest of 10 frames took %v in the direction without delay", fastest)
		}
	})
}

func TestNeverFasterThanRate(t *testing.T) {
	forEachEmulator(t, func(t *testing.T, kind link.Kind) {
		const rate, frames = 10 * link.Mbit, 200
		b := newBed(t, link.Config{Kind: kind, AtoB: link.Params{Rate: rate, Queue: frames * 1514}})
		start := time.Now()
		b.send(t, 0, 0, frames, 1514)
		for i := range frames {
			if got := b.receive(t, 1, patience); got != i {
				t.Fatalf("received %d, want %d", got, i)
			}
		}
		took := time.Since(start)
		if least := time.Duration(frames * 1514 * 8 * int64(time.Second) / rate); took < least {
			t.Errorf("%d frames took %v, at this rate they need %v", frames, took, least)
		}
		c := b.settle(t, link.AtoB, frames)
		if c.Delivered != frames || c.DeliveredBytes != frames*1514 || c.QueueDrops != 0 || c.MaxQueueBytes < 1514 {
			t.Errorf("counters: %v", c)
		}
		t.Logf("%.2f Mbit/s", frames*1514*8/took.Seconds()/1e6)
	})
}

func TestQueueDrops(t *testing.T) {
	forEachEmulator(t, func(t *testing.T, kind link.Kind) {
		const frames, size, fit = 100, 1014, 10
		// So slow that nothing departs during the test.
		b := newBed(t, link.Config{Kind: kind, AtoB: link.Params{Rate: 100, Queue: fit * size}})
		b.send(t, 0, 0, frames, size)
		c := b.settle(t, link.AtoB, frames-fit)
		if c.QueueDrops != frames-fit || c.MaxQueueBytes > fit*size || c.Delivered > 0 {
			t.Errorf("%d frames of %d bytes into a queue for %d: %v", frames, size, fit, c)
		}
		// Opened up, what waited arrives.
		if err := b.link.Set(link.AtoB, link.Params{}); err != nil {
			t.Fatal(err)
		}
		if got := b.receive(t, 1, patience); got != 0 {
			t.Errorf("received %d, want the first", got)
		}
	})
}

func TestLoss(t *testing.T) {
	forEachEmulator(t, func(t *testing.T, kind link.Kind) {
		const frames = 4000
		b := newBed(t, link.Config{Kind: kind, Seed: 7, AtoB: link.Params{Loss: 0.25}})
		for first := 0; first < frames; first += 100 {
			b.send(t, 0, first, 100, 100)
			b.settle(t, link.AtoB, uint64(first+100))
		}
		c := b.settle(t, link.AtoB, frames)
		if c.Lost < 800 || c.Lost > 1200 {
			t.Errorf("%d of %d lost, want about 1000", c.Lost, frames)
		}
		if err := b.link.Set(link.AtoB, link.Params{Loss: 1}); err != nil {
			t.Fatal(err)
		}
		before := c
		b.send(t, 0, 0, 100, 100)
		c = b.settle(t, link.AtoB, before.Delivered+before.Lost+100)
		if c.Delivered != before.Delivered {
			t.Errorf("frames came through total loss: %v, before: %v", c, before)
		}
	})
}

func TestBlackhole(t *testing.T) {
	forEachEmulator(t, func(t *testing.T, kind link.Kind) {
		b := newBed(t, link.Config{Kind: kind, AtoB: link.Params{Delay: 200 * time.Millisecond}})
		b.send(t, 0, 1, 1, 100) // under way when the hole opens
		before := b.waitOffered(t, link.AtoB, 1)
		if err := b.link.SetBlackhole(true); err != nil {
			t.Fatal(err)
		}
		b.send(t, 0, 2, 5, 100)
		b.send(t, 1, 3, 5, 100)
		b.settle(t, link.AtoB, 6)
		b.settle(t, link.BtoA, 5)
		if c := b.link.Counters(link.BtoA); c.DownDrops != 5 {
			t.Errorf("b→a: %v, want 5 down-drops", c)
		}
		if c := b.link.Counters(link.AtoB); c.DownDrops < 5 {
			t.Errorf("a→b: %v, want 5 down-drops; before: %v", c, before)
		}
		for i := range b.hosts {
			if !b.running(t, i) {
				t.Errorf("end %d does not run: a black hole must be silent", i)
			}
		}
		if err := b.link.SetBlackhole(false); err != nil {
			t.Fatal(err)
		}
		b.send(t, 0, 100, 1, 100)
		for got := 0; got != 100; {
			if got = b.receive(t, 1, patience); got < 0 {
				t.Fatal("nothing comes through after the black hole")
			} else if got > 1 && got < 100 {
				t.Errorf("frame %d came through the black hole", got)
			}
		}
	})
}

func (b *bed) waitOffered(t testing.TB, d link.Direction, n uint64) link.Counters {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if c := b.link.Counters(d); c.Offered >= n {
			return c
		}
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			t.Fatalf("%v: waiting for %d frames: %v", d, n, b.link.Counters(d))
		}
	}
}
