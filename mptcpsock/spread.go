package mptcpsock

import (
	"context"
	"net/netip"
	"slices"
)

// spread puts the local addresses to use that a connection was given before it
// began, as soon as subflows can join: a client opens a subflow from each, a
// server announces each. Nobody waits for the outcome; Events tells it.
func (ctl *Controller) spread(a *attachment) {
	ctl.mu.Lock()
	var addrs []netip.AddrPort
	if a.rec.established && a.rec.conn != nil {
		addrs, a.rec.spread = a.rec.spread, nil
	}
	addrs = slices.DeleteFunc(addrs, func(l netip.AddrPort) bool { return a.rec.uses(l.Addr()) })
	c := a.rec.conn
	ctl.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), handOver)
	defer cancel()
	op := operation{attachment: a, conn: c, name: "use local addresses"}
	for _, l := range addrs {
		var err error
		if c.accepted {
			err = op.announce(ctx, l)
		} else {
			err = op.start(ctx, l)
		}
		if err != nil {
			ctl.log.Warn("cannot use a local address", "address", l, "token", a.rec.token.String(), "error", err)
		}
	}
}

// start opens a subflow from a local address and does not wait.
func (op operation) start(ctx context.Context, l netip.AddrPort) error {
	local, remote, err := op.ends(l, netip.AddrPort{})
	if err != nil {
		return err
	}
	_, _, err = op.create(ctx, local, remote, Normal)
	return err
}
