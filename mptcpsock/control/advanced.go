package control

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
)

// maxSubflows bounds SetSubflows: the kernel's MPTCP_SUBFLOWS_MAX.
const maxSubflows = mptcppm.MaxEndpoints

// SetSubflows makes the connection have n established subflows, 1 to 8 (RFC 6897
// REQ7). It opens further ones from the local addresses that the connection may
// use, first from those that have none: LocalAddrs and AddAddrs, else the paths'
// and the initial subflow's. It closes the youngest ones. Under a mode n is the
// most that it may have instead; an accepted connection fails with ErrSteered then. Errors are those of OpenSub and CloseSub; what
// was changed before one stays.
func (c *Conn) SetSubflows(ctx context.Context, n int) error {
	op, err := c.begin("set number of subflows", fmt.Sprint(n))
	if err != nil {
		return err
	}
	switch {
	case n < 1 || n > maxSubflows:
		return op.fail(fmt.Errorf("%w: 1 to %d", ErrInvalid, maxSubflows))
	case op.steered() && c.Accepted():
		return op.fail(ErrSteered) // the peer's mode says how many
	case op.steered():
		st := c.Steering()
		st.Mode.Params.MaxSubflows = n
		if text, err := st.Mode.Params.Get("subflows"); err == nil {
			if now, _ := strconv.Atoi(text); now > n {
				_ = st.Mode.Params.Set("subflows", strconv.Itoa(n)) // out of range: Validate tells
			}
		}
		return op.fail(op.steer(ctx, st))
	}
	return op.fail(op.resize(ctx, n))
}

func (op operation) resize(ctx context.Context, n int) error {
	for range maxSubflows * 2 { // bounds a race with the peer
		now, err := op.conn.establishedSubs()
		switch {
		case err != nil:
			return err
		case len(now) == n:
			return nil
		case len(now) > n:
			err = op.close(ctx, youngest(now))
		default:
			_, err = op.open(ctx, netip.AddrPortFrom(op.leastUsed(now), 0), netip.AddrPort{}, Normal)
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: the peer changes the subflows as well", ErrSubflowsChanging)
}

// establishedSubs are the subflows that can carry data.
func (c *Conn) establishedSubs() ([]Subflow, error) {
	subflows, err := c.Subflows()
	return slices.DeleteFunc(subflows, func(s Subflow) bool { return s.TCP.State != uapi.TCPEstablished }), err
}

// youngest returns the id of the subflow that was opened last.
func youngest(subflows []Subflow) uapi.SubflowID {
	return slices.MaxFunc(subflows, func(a, b Subflow) int { return int(a.ID) - int(b.ID) }).ID
}

// leastUsed returns the local address with the fewest subflows of those for
// which the peer has an address.
func (op operation) leastUsed(now []Subflow) netip.Addr {
	op.ctl.mu.Lock()
	candidates := slices.Clone(op.rec.allowed)
	first := op.rec.first.Local
	op.ctl.mu.Unlock()
	if len(candidates) == 0 {
		candidates = append(op.ctl.pathAddrs(nil), first)
	}
	op.ctl.mu.Lock()
	defer op.ctl.mu.Unlock()
	best, fewest := first.Addr(), len(now)+1
	for _, a := range candidates {
		if _, ok := op.rec.table.RemoteFor(op.rec.first.Remote, a.Addr()); !ok {
			continue
		}
		used := 0
		for _, s := range now {
			if s.Local.Addr() == a.Addr() {
				used++
			}
		}
		if used < fewest {
			best, fewest = a.Addr(), used
		}
	}
	return best
}

// SetFateSharing makes the connection end when its initial subflow does, or not
// (RFC 6897 section 4.2.2 and REQ13). By default it does not. The connection is
// closed as by Close then; reads and writes that wait fail with net.ErrClosed.
func (c *Conn) SetFateSharing(on bool) error {
	op, err := c.begin("set fate sharing", fmt.Sprint(on))
	if err != nil {
		return err
	}
	now, err := c.establishedSubs()
	if err != nil {
		return op.fail(err)
	}
	op.ctl.mu.Lock()
	defer op.ctl.mu.Unlock()
	isFirst := func(s Subflow) bool { return s.Pair() == op.rec.first }
	if on && !slices.ContainsFunc(now, isFirst) {
		return op.fail(fmt.Errorf("%w: the initial subflow has ended already", ErrUnknownSubflow))
	}
	op.rec.fate = on
	return nil
}

// SetRedundancy would send each segment on n subflows (RFC 6897 REQ12). The only
// packet scheduler of upstream kernels does not: it fails with ErrNotSupported
// for n other than 1.
func (c *Conn) SetRedundancy(n int) error {
	if err := c.alive(); err != nil {
		return err
	}
	if n == 1 {
		return nil
	}
	return &OpError{Op: "set redundancy", On: fmt.Sprint(n), Err: &mptcpsock.NotSupportedError{Feature: "sending segments on several subflows"}}
}
