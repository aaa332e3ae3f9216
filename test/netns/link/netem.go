package link

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netem is a veth pair with a netem queueing discipline at each end.
//
// Its kernel part has been run nowhere yet: the machines on which this package
// was written have no netem. Known differences to the emulator in user space:
// the queue is limited in packets of 1514 bytes, not bytes; a full queue is told
// to a local sender at once, which then sees no loss; loss happens before the
// queue; jitter spreads to both sides of delay + jitter/2; counters have loss and
// queue drops in one. MPPROXY_LINK=tap gives the same results everywhere.
type netem struct{ *veth }

const (
	fullFrame  = 1514
	netemNoCap = 100 * Gbit // a rate that was set can be raised, not removed
)

func newNetem(ctx context.Context, c Config) (*netem, error) {
	v, err := openVeth(ctx, c)
	if err != nil {
		return nil, err
	}
	n := &netem{v}
	for d, end := range []End{c.A, c.B} {
		// A super-packet of 64 KB would count as one.
		err = end.NS.Do(ctx, func() error { return disableOffloads(end.Name) })
		if err == nil {
			err = n.set(Direction(d), orders{params: [2]Params{c.AtoB, c.BtoA}[d]})
		}
		if err != nil {
			n.close()
			return nil, err
		}
	}
	return n, nil
}

// netemAttrs translates the properties of a direction.
func netemAttrs(o orders) netlink.NetemQdiscAttrs {
	p := o.params
	rate := p.Rate
	if rate == 0 {
		rate = netemNoCap
	}
	loss := p.Loss
	if o.down {
		loss = 1
	}
	waiting := p.queue() / fullFrame
	travelling := min(float64(rate), float64(Gbit)) / 8 * (p.Delay + p.Jitter).Seconds() / fullFrame
	return netlink.NetemQdiscAttrs{
		Latency: uint32((p.Delay + p.Jitter/2).Microseconds()),
		Jitter:  uint32((p.Jitter / 2).Microseconds()),
		Loss:    float32(loss * 100),
		Limit:   uint32(waiting+int(travelling)) + 1,
		Rate64:  uint64(rate / 8),
	}
}

func netemQdisc(index int, o orders) *netlink.Netem {
	return netlink.NewNetem(netlink.QdiscAttrs{
		LinkIndex: index,
		Handle:    netlink.MakeHandle(1, 0),
		Parent:    netlink.HANDLE_ROOT,
	}, netemAttrs(o))
}

func (n *netem) set(d Direction, o orders) error {
	if err := n.handles[d].QdiscReplace(netemQdisc(n.index[d], o)); err != nil {
		return fmt.Errorf("link: netem %v: %w (no such file: the kernel lacks sch_netem)", d, err)
	}
	return nil
}

func (n *netem) counters(d Direction) (Counters, error) {
	c, err := n.veth.counters(d)
	if err != nil {
		return c, err
	}
	l, err := n.handles[d].LinkByIndex(n.index[d])
	if err != nil {
		return c, fmt.Errorf("link: statistics: %w", err)
	}
	qdiscs, err := n.handles[d].QdiscList(l)
	if err != nil {
		return c, fmt.Errorf("link: statistics: %w", err)
	}
	for _, q := range qdiscs {
		if s := q.Attrs().Statistics; q.Type() == "netem" && s != nil && s.Queue != nil {
			c.QueueDrops = uint64(s.Queue.Drops)
			c.QueueBytes = uint64(s.Queue.Backlog)
			c.Offered += c.QueueDrops + uint64(s.Queue.Qlen)
		}
	}
	return c, nil
}

// netemWorks tries netem on the loopback interface of a namespace, reads back
// what it set, and removes it.
func netemWorks(ctx context.Context, ns Namespace) bool {
	err := ns.Do(ctx, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		want := netemQdisc(lo.Attrs().Index, orders{params: Params{Rate: 8 * Mbit}})
		if err := netlink.QdiscAdd(want); err != nil {
			return err
		}
		defer func() { _ = netlink.QdiscDel(want) }()
		qdiscs, err := netlink.QdiscList(lo)
		if err != nil {
			return err
		}
		for _, q := range qdiscs {
			if got, ok := q.(*netlink.Netem); ok && got.Rate64 == want.Rate64 {
				return nil
			}
		}
		return unix.ENOTSUP
	})
	return err == nil
}
