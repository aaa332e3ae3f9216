package link_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/test/netns/link"
)

// running says whether the interface of an end has carrier and is up.
func (b *bed) running(t testing.TB, i int) (up bool) {
	t.Helper()
	err := b.hosts[i].Do(b.ctx, func() error {
		l, err := netlink.LinkByName(ifName)
		if err == nil {
			up = l.Attrs().RawFlags&unix.IFF_RUNNING != 0
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return up
}

func TestCarrier(t *testing.T) {
	for _, kind := range []link.Kind{link.TAP, link.Packet, link.Veth} {
		t.Run(kind.String(), func(t *testing.T) {
			b := newBed(t, link.Config{Kind: kind})
			wait := func(want bool) {
				t.Helper()
				tick := time.NewTicker(time.Millisecond) // the kernel reports carrier from a work queue
				defer tick.Stop()
				for i := range b.hosts {
					for b.running(t, i) != want {
						select {
						case <-tick.C:
						case <-b.ctx.Done():
							t.Fatalf("end %d: running is not %v", i, want)
						}
					}
				}
			}
			wait(true)
			if err := b.link.SetCarrier(false); err != nil {
				t.Fatal(err)
			}
			wait(false)
			if err := b.link.SetCarrier(true); err != nil {
				t.Fatal(err)
			}
			wait(true)
			if kind == link.Veth {
				return // its end B lost its neighbour
			}
			b.send(t, 0, 42, 1, 100)
			if got := b.receive(t, 1, patience); got != 42 {
				t.Errorf("after the plug was put back: received %d; %v", got, b.link.Counters(link.AtoB))
			}
		})
	}
}

func TestPlainPairRefuses(t *testing.T) {
	b := newBed(t, link.Config{Kind: link.Veth})
	if err := b.link.Set(link.AtoB, link.Params{Rate: link.Mbit}); !errors.Is(err, link.ErrNotShapeable) {
		t.Errorf("Set: %v", err)
	}
	if err := b.link.SetBlackhole(true); !errors.Is(err, link.ErrNotShapeable) {
		t.Errorf("SetBlackhole: %v", err)
	}
	b.send(t, 0, 1, 1, 100)
	if got := b.receive(t, 1, patience); got != 1 {
		t.Errorf("received %d", got)
	}
	if c := b.link.Counters(link.AtoB); c.Offered < 1 || c.Delivered < 1 {
		t.Errorf("counters: %v", c)
	}
}

func TestKindFromEnvironment(t *testing.T) {
	t.Setenv(link.EnvKind, "packet")
	if b := newBed(t, link.Config{}); b.link.Kind() != link.Packet {
		t.Errorf("kind %v, want packet", b.link.Kind())
	}
	t.Setenv(link.EnvKind, "string")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := link.New(ctx, link.Config{}); err == nil || !strings.Contains(err.Error(), link.EnvKind) {
		t.Errorf("a bad %s: %v", link.EnvKind, err)
	}
}

func TestCloseRemovesInterfaces(t *testing.T) {
	for _, kind := range []link.Kind{link.TAP, link.Packet, link.Veth} {
		t.Run(kind.String(), func(t *testing.T) {
			b := newBed(t, link.Config{Kind: kind})
			for range 2 {
				if err := b.link.Close(); err != nil {
					t.Fatal(err)
				}
			}
			for i, h := range b.hosts {
				err := h.Do(b.ctx, func() error {
					_, err := netlink.LinkByName(ifName)
					return err
				})
				if !errors.As(err, new(netlink.LinkNotFoundError)) {
					t.Errorf("end %d after Close: %v", i, err)
				}
			}
			if err := b.link.Set(link.AtoB, link.Params{}); !errors.Is(err, link.ErrClosed) {
				t.Errorf("Set after Close: %v", err)
			}
		})
	}
}

func TestInterfaceDeleted(t *testing.T) {
	b := newBed(t, link.Config{Kind: link.TAP})
	err := b.hosts[0].Do(b.ctx, func() error {
		l, err := netlink.LinkByName(ifName)
		if err != nil {
			return err
		}
		return netlink.LinkDel(l)
	})
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := b.link.ReadCounters(link.AtoB); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			t.Fatal("the link does not notice")
		}
	}
}
