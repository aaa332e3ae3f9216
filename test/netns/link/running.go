package link

import (
	"context"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// waitRunning waits until an interface may send. The kernel notices a carrier in
// a work queue (net/core/link_watch.c) and drops what is sent before, which would
// make the first frames of a link disappear.
func waitRunning(ctx context.Context, name string, find func() (netlink.Link, error)) error {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		l, err := find()
		if err != nil {
			return fmt.Errorf("link: find interface %s: %w", name, err)
		}
		if l.Attrs().RawFlags&unix.IFF_RUNNING != 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("link: interface %s has no carrier: %w", name, ctx.Err())
		}
	}
}

// waitEnds waits for both ends of a link.
func waitEnds(ctx context.Context, c Config) error {
	for _, end := range []End{c.A, c.B} {
		err := waitRunning(ctx, end.Name, func() (l netlink.Link, err error) {
			err = end.NS.Do(ctx, func() error {
				l, err = netlink.LinkByName(end.Name)
				return err
			})
			return l, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
