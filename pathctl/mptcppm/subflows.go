package mptcppm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"mpproxy/mptcpsock/uapi"
)

// userspaceSince is the first kernel with the user-space path manager.
const userspaceSince = "5.19"

// Announce tells the peer of a connection about a local address (ADD_ADDR).
// e.ID is 1 to 255. Within a connection an id stands for one address and an
// address has one id, or ErrInvalid is the answer. FlagSignal is added. A Port makes the announcement one with a port; somebody
// must listen there. Fails with ErrNoConnection, ErrNotUserspace, ErrInvalid.
func (c *Client) Announce(ctx context.Context, token uapi.Token, e Endpoint) error {
	op := operation{cmd: cmdAnnounce, name: "announce", on: said(fmt.Sprintf("%v %s", e, onToken(token))), since: userspaceSince}
	if err := op.checkEndpoint(e); err != nil {
		return err
	}
	if e.ID == 0 {
		return op.invalid("address id 0 is the connection's own and cannot be announced")
	}
	e.Flags |= FlagSignal
	return c.do(ctx, op, request{addr: &e, token: &token})
}

// Remove takes a local address id of a connection back: the peer gets RM_ADDR
// and closes the subflows of that id. Id 0 means the first subflow's address,
// whose subflows are closed here at once.
//
// RM_ADDR is not reliable: nothing repeats it, and the kernel drops it, while
// this call succeeds, when an ADD_ADDR or its echo is still waiting for a packet
// (6.18: mptcp_pm_remove_addr). Whoever must be rid of a subflow destroys it.
// Fails with ErrNotFound, ErrNoConnection, ErrNotUserspace.
func (c *Client) Remove(ctx context.Context, token uapi.Token, id uapi.AddrID) error {
	op := operation{
		cmd: cmdRemove, name: "remove", on: said(fmt.Sprintf("address id %d %s", id, onToken(token))),
		since: userspaceSince, looksUp: true,
	}
	return c.do(ctx, op, request{token: &token, locID: &id})
}

// CreateSubflow starts a subflow from a local address to one of the peer's
// (MP_JOIN). local needs ID, 1 to 255, and Addr; FlagBackup, IfIndex and Port
// are heeded, FlagBackup and IfIndex not by Linux 6.1. With FlagBackup the peer's events show the subflow as backup, ours
// do not. Ids as in Announce. A nil error means that the SYN is on its way: EventSubflowEstablished
// or EventSubflowClosed tells the outcome. Errors of the local end come at once,
// as syscall.ENETUNREACH or EADDRNOTAVAIL. Fails with ErrNoConnection,
// ErrNotUserspace, ErrInvalid.
func (c *Client) CreateSubflow(ctx context.Context, token uapi.Token, local Endpoint, remote netip.AddrPort) error {
	op := operation{
		cmd: cmdSubflowCreate, name: "create subflow",
		on: onSubflow{token, local, remote}, since: userspaceSince,
	}
	if err := op.checkEndpoint(local); err != nil {
		return err
	}
	if err := op.checkAddr("remote end", remote.Addr()); err != nil {
		return err
	}
	if remote.Port() == 0 {
		return op.invalid("remote end %v has no port", remote)
	}
	if local.ID == 0 {
		return op.invalid("local address id 0 belongs to the first subflow; give another")
	}
	return c.do(ctx, op, request{addr: &local, token: &token, remote: remote})
}

// DestroySubflow closes one subflow, named by its live addresses and ports, in
// the form in which events show them. The peer sees it one trip later. Fails
// with ErrNotFound, ErrNoConnection, ErrNotUserspace.
func (c *Client) DestroySubflow(ctx context.Context, token uapi.Token, local, remote netip.AddrPort) error {
	op := operation{
		cmd: cmdSubflowDestroy, name: "destroy subflow",
		on: onSubflow{token, local, remote}, since: userspaceSince,
	}
	if err := op.checkPair(local, remote); err != nil {
		return err
	}
	return c.do(ctx, op, request{addr: addrOf(local), token: &token, remote: remote})
}

// SetSubflowBackup changes the priority of one subflow and tells the peer
// (MP_PRIO), which sees EventSubflowPriority. Addresses as in DestroySubflow. Linux 6.1
// has ErrNotFound for whatever it refuses.
func (c *Client) SetSubflowBackup(ctx context.Context, token uapi.Token, local, remote netip.AddrPort, backup bool) error {
	op := operation{
		cmd: cmdSetFlags, name: fmt.Sprintf("set backup=%t", backup),
		on: onSubflow{token, local, remote}, since: "6.0", looksUp: true,
	}
	if err := op.checkPair(local, remote); err != nil {
		return err
	}
	addr := addrOf(local)
	if backup {
		addr.Flags = FlagBackup
	}
	return c.do(ctx, op, request{addr: addr, token: &token, remote: remote})
}

func addrOf(ap netip.AddrPort) *Endpoint { return &Endpoint{Addr: ap.Addr(), Port: ap.Port()} }

// LocalAddrs reads which local addresses a connection of the user-space path
// manager knows, with their ids: those that were announced, given to
// CreateSubflow, or used by an incoming subflow. It needs Linux 6.10 and no
// privilege. Fails with ErrNoConnection, ErrNotUserspace, ErrNotSupported.
func (c *Client) LocalAddrs(ctx context.Context, token uapi.Token) ([]Endpoint, error) {
	op := operation{cmd: cmdGetAddr, reply: replyDump, name: "list local addresses", on: said(onToken(token)), since: "6.10"}
	if err := c.probeLocalAddrs(ctx, op); err != nil {
		return nil, err
	}
	return c.dumpEndpoints(ctx, op, request{token: &token})
}

// probeLocalAddrs tells whether the kernel heeds a token in GET_ADDR. Older ones
// ignore it and list the in-kernel path manager's endpoints, which is why one
// must ask first: only a newer one complains about a token that is nobody's.
func (c *Client) probeLocalAddrs(ctx context.Context, op operation) error {
	var nobody uapi.Token
	_, err := c.execute(ctx, op, request{token: &nobody})
	switch {
	case errors.Is(err, syscall.EINVAL):
		return nil
	case err == nil:
		return &OpError{Op: op.name, On: op.about(), Kind: &NotSupportedError{Feature: op.name, MinKernel: op.since}}
	}
	return err
}
