package link

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// veth is a plain pair; netem builds on it.
type veth struct {
	handles [2]*netlink.Handle // of the namespaces of A and B
	index   [2]int
}

// addVeth makes a pair: one end in the calling thread's namespace, the other,
// peer, in its own.
func addVeth(name string, peer End, mtu int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = name, mtu
	pair := netlink.NewVeth(attrs)
	pair.PeerName, pair.PeerMTU = peer.Name, uint32(mtu)
	pair.PeerNamespace = netlink.NsFd(peer.NS.NetNS())
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("link: add veth pair %s, %s: %w", name, peer.Name, err)
	}
	return nil
}

func newVeth(ctx context.Context, c Config) (_ *veth, err error) {
	if !c.AtoB.IsZero() || !c.BtoA.IsZero() {
		return nil, ErrNotShapeable
	}
	return openVeth(ctx, c)
}

func openVeth(ctx context.Context, c Config) (_ *veth, err error) {
	v := &veth{}
	defer func() {
		if err != nil {
			v.close()
		}
	}()
	if err = c.A.NS.Do(ctx, func() error { return addVeth(c.A.Name, c.B, c.MTU) }); err != nil {
		return nil, err
	}
	for i, end := range []End{c.A, c.B} {
		err = end.NS.Do(ctx, func() error {
			var err error
			if v.handles[i], err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
				return err
			}
			l, err := v.handles[i].LinkByName(end.Name)
			if err != nil {
				return err
			}
			v.index[i] = l.Attrs().Index
			return bringUp(end.Name, c.MTU)
		})
		if err != nil {
			return nil, fmt.Errorf("link: end %s: %w", end.Name, err)
		}
	}
	return v, nil
}

// set has nothing to do: Link refuses what a plain pair cannot be.
func (v *veth) set(Direction, orders) error { return nil }

// setCarrier moves end B, so that end A loses its carrier: veth has no other way.
func (v *veth) setCarrier(up bool) error {
	l, err := v.handles[1].LinkByIndex(v.index[1])
	if err != nil {
		return fmt.Errorf("link: find end B: %w", err)
	}
	if up {
		return v.handles[1].LinkSetUp(l)
	}
	return v.handles[1].LinkSetDown(l)
}

// counters come from the statistics of the interfaces.
func (v *veth) counters(d Direction) (Counters, error) {
	from, err := v.handles[d].LinkByIndex(v.index[d])
	if err != nil {
		return Counters{}, fmt.Errorf("link: statistics: %w", err)
	}
	to, err := v.handles[1-d].LinkByIndex(v.index[1-d])
	if err != nil {
		return Counters{}, fmt.Errorf("link: statistics: %w", err)
	}
	tx, rx := from.Attrs().Statistics, to.Attrs().Statistics
	if tx == nil || rx == nil {
		return Counters{}, nil
	}
	return Counters{
		Offered: tx.TxPackets, OfferedBytes: tx.TxBytes,
		Delivered: rx.RxPackets, DeliveredBytes: rx.RxBytes,
	}, nil
}

func (v *veth) close() {
	for i, h := range v.handles {
		if h == nil {
			continue
		}
		if l, err := h.LinkByIndex(v.index[i]); err == nil && v.index[i] != 0 {
			_ = h.LinkDel(l) // takes its peer along
		}
		h.Close()
	}
}
