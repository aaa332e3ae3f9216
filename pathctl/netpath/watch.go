package netpath

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/pathctl/netpath/rtnl"
)

// watchBuffer is the receive buffer to ask for, in bytes; the kernel caps it at
// net.core.rmem_max. A burst that does not fit is only a hint anyway.
const watchBuffer = 1 << 20

var watchedGroups = []uint32{
	unix.RTNLGRP_LINK,
	unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
	unix.RTNLGRP_NEXTHOP,
	unix.RTNLGRP_IPV4_NETCONF, // rp_filter
}

func openWatch(nsFD int) (*netlink.Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: nsFD})
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	_ = conn.SetReadBuffer(watchBuffer) // smaller buffers work as well
	for _, g := range watchedGroups {
		if err := conn.JoinGroup(g); err != nil {
			return nil, errors.Join(fmt.Errorf("watch rtnetlink group %d: %w", g, err), conn.Close())
		}
	}
	return conn, nil
}

// news is what the watcher tells the runner.
type news struct {
	hints  chan struct{} // something changed: look soon
	losses chan loss     // look now
}

func newNews() news {
	return news{make(chan struct{}, 1), make(chan loss, maxLosses)}
}

// watchLoop turns notifications into news until ctx ends. Whatever goes wrong
// is a hint too: ENOBUFS says that messages were lost, and a new socket means
// that some may have been missed.
func watchLoop(ctx context.Context, done *sync.WaitGroup, conn *netlink.Conn, nsFD int, n news, log *slog.Logger) {
	defer done.Done()
	for ctx.Err() == nil {
		if conn != nil {
			err := readNews(ctx, conn, n)
			_ = conn.Close() // only read from
			conn = nil
			if ctx.Err() != nil {
				return
			}
			n.hint()
			log.Warn("network change notifications failed, opening them again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryInterval):
		}
		var err error
		if conn, err = openWatch(nsFD); err != nil {
			log.Warn("no network change notifications, trying again", "error", err)
		}
		n.hint()
	}
	if conn != nil {
		_ = conn.Close()
	}
}

// readNews returns when ctx ends or the socket is of no more use.
func readNews(ctx context.Context, conn *netlink.Conn, n news) error {
	expire := func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) }
	defer context.AfterFunc(ctx, expire)()
	for {
		msgs, err := conn.Receive()
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
		for _, m := range msgs {
			n.lost(m)
		}
		if err != nil || anyRelevant(msgs) {
			n.hint()
		}
	}
}

// hint does not wait: a hint that has not been taken yet says it all.
func (n news) hint() {
	select {
	case n.hints <- struct{}{}:
	default:
	}
}

// lost passes a loss on. It does not wait: a hint follows.
func (n news) lost(m netlink.Message) {
	l, ok := lossOf(m)
	if !ok {
		return
	}
	select {
	case n.losses <- l:
	default:
	}
}

func anyRelevant(msgs []netlink.Message) bool {
	return slices.ContainsFunc(msgs, isRelevant)
}

// isRelevant says no only where it can be sure: to routes behind a gateway that
// are no default routes and in no table of ours. A router with a full table
// changes thousands of these a minute.
func isRelevant(m netlink.Message) bool {
	if m.Header.Type != unix.RTM_NEWROUTE && m.Header.Type != unix.RTM_DELROUTE {
		return true
	}
	routes, err := rtnl.DecodeRoute(m.Data)
	if err != nil {
		return true
	}
	for _, r := range routes {
		if r.IsDefault() || !r.Gateway.IsValid() || rtnl.InRange(r.Table) {
			return true
		}
	}
	return false
}
