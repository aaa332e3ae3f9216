package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/test/netns/rig"
)

// watchPaths notes each longTick on which paths there is an established subflow
// of a leg that the middlebox knows. The client has one leg but for a moment at
// its start.
func watchPaths(ctx context.Context, r *rig.Rig, result chan<- [][2]bool) {
	var all [][2]bool
	tick := time.NewTicker(longTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			result <- all
			return
		case <-tick.C:
		}
		var ends [][2]netip.AddrPort
		err := r.Client.Do(ctx, func() error {
			var err error
			ends, err = establishedLegs()
			return err
		})
		if err != nil {
			continue
		}
		var now [2]bool
		for i := range now {
			for _, e := range ends {
				now[i] = now[i] || e[0].Addr() == r.Links[i].Client4 && r.Links[i].Knows(e[0], e[1])
			}
		}
		all = append(all, now)
	}
}

// establishedLegs asks the kernel of the calling thread's namespace for the
// subflows to the concentrator.
func establishedLegs() ([][2]netip.AddrPort, error) {
	var out [][2]netip.AddrPort
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		all, err := netlink.SocketDiagTCP(family)
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			local, ok1 := netip.AddrFromSlice(s.ID.Source)
			remote, ok2 := netip.AddrFromSlice(s.ID.Destination)
			if s.State != netlink.TCP_ESTABLISHED || s.ID.DestinationPort != rig.Port || !ok1 || !ok2 {
				continue
			}
			out = append(out, [2]netip.AddrPort{
				netip.AddrPortFrom(local.Unmap(), s.ID.SourcePort), netip.AddrPortFrom(remote.Unmap(), s.ID.DestinationPort),
			})
		}
	}
	return out, nil
}
