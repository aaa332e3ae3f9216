package mptcppm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"mpproxy/mptcpsock/uapi"
)

// AddEndpoint registers a local address with the in-kernel path manager. With
// ID 0 the kernel chooses the id: Endpoints tells which. Fails with ErrExists,
// ErrTooMany, ErrInvalid, ErrPermission.
func (c *Client) AddEndpoint(ctx context.Context, e Endpoint) error {
	op := operation{cmd: cmdAddAddr, name: "add endpoint", on: said(e.String()), since: "5.7"}
	if err := op.checkEndpoint(e); err != nil {
		return err
	}
	return c.whyNotAdded(ctx, e, c.do(ctx, op, request{addr: &e}))
}

// whyNotAdded finds out what Linux 6.1 means that says EINVAL alike for an address or
// an id that is taken and for an endpoint too many.
func (c *Client) whyNotAdded(ctx context.Context, e Endpoint, err error) error {
	op, ok := errors.AsType[*OpError](err)
	if !ok || op.Detail != textTooManyOrDouble {
		return err
	}
	all, listErr := c.Endpoints(ctx)
	if listErr != nil {
		return err
	}
	taken := slices.ContainsFunc(all, func(o Endpoint) bool {
		return o.Addr.Unmap() == e.Addr.Unmap() && o.Port == e.Port || e.ID != 0 && o.ID == e.ID
	})
	switch {
	case taken:
		op.Kind = ErrExists
	case len(all) >= MaxEndpoints:
		op.Kind = ErrTooMany
	}
	return err
}

// DelEndpoint removes an endpoint, and with it the subflows that use it, in all
// connections. id is 1 to 255. The kernel waits for a grace period, some
// milliseconds, before it answers. Fails with ErrNotFound, ErrPermission.
func (c *Client) DelEndpoint(ctx context.Context, id uapi.AddrID) error {
	op := operation{cmd: cmdDelAddr, name: "delete endpoint", on: said(fmt.Sprintf("id %d", id)), since: "5.7", looksUp: true}
	if id == 0 {
		return op.invalid("id 0 is the first address of each connection, not an endpoint")
	}
	return c.do(ctx, op, request{addr: &Endpoint{ID: id}})
}

// DelInitialAddr closes, in all connections whose first subflow started from
// addr, the subflows of address id 0, as if an endpoint had been deleted. It
// succeeds when there is none.
func (c *Client) DelInitialAddr(ctx context.Context, addr netip.Addr) error {
	op := operation{cmd: cmdDelAddr, name: "delete initial address", on: said(addr.String()), since: "5.13"}
	if err := op.checkAddr("connection", addr); err != nil {
		return err
	}
	return c.do(ctx, op, request{addr: &Endpoint{Addr: addr}})
}

// Endpoint reads one endpoint, id 1 to 255. Fails with ErrNotFound. It needs no
// privilege.
func (c *Client) Endpoint(ctx context.Context, id uapi.AddrID) (Endpoint, error) {
	op := operation{cmd: cmdGetAddr, name: "get endpoint", on: said(fmt.Sprintf("id %d", id)), since: "5.7", looksUp: true}
	if id == 0 {
		return Endpoint{}, op.invalid("endpoints have ids from 1")
	}
	b, err := c.one(ctx, op, request{addr: &Endpoint{ID: id}})
	if err != nil {
		return Endpoint{}, err
	}
	e, err := decodeEndpoint(b)
	if err != nil {
		return Endpoint{}, op.fail(nil, err)
	}
	return e, nil
}

// Endpoints reads all endpoints, in the order of their ids. It needs no
// privilege.
func (c *Client) Endpoints(ctx context.Context) ([]Endpoint, error) {
	op := operation{cmd: cmdGetAddr, reply: replyDump, name: "list endpoints", since: "5.7"}
	return c.dumpEndpoints(ctx, op, request{})
}

func (c *Client) dumpEndpoints(ctx context.Context, op operation, req request) ([]Endpoint, error) {
	msgs, err := c.execute(ctx, op, req)
	if err != nil {
		return nil, err
	}
	all := make([]Endpoint, 0, len(msgs))
	for _, m := range msgs {
		e, err := decodeEndpoint(m.Data)
		if err != nil {
			return nil, op.fail(nil, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// FlushEndpoints removes all endpoints and the subflows that use them, those of
// other programs too.
func (c *Client) FlushEndpoints(ctx context.Context) error {
	return c.do(ctx, operation{cmd: cmdFlushAddrs, name: "flush endpoints", since: "5.7"}, request{})
}

// Limits reads the limits. It needs no privilege.
func (c *Client) Limits(ctx context.Context) (Limits, error) {
	op := operation{cmd: cmdGetLimits, name: "get limits", since: "5.7"}
	b, err := c.one(ctx, op, request{})
	if err != nil {
		return Limits{}, err
	}
	l, err := decodeLimits(b)
	if err != nil {
		return Limits{}, op.fail(nil, err)
	}
	return l, nil
}

// SetLimits sets both limits. Fails with ErrInvalid when one is above
// MaxEndpoints. Connections that exist take the new limits at their next
// attempt to open a subflow.
func (c *Client) SetLimits(ctx context.Context, l Limits) error {
	on := fmt.Sprintf("subflows %d add-addr-accepted %d", l.Subflows, l.AddAddrAccepted)
	op := operation{cmd: cmdSetLimits, name: "set limits", on: said(on), since: "5.7"}
	return c.do(ctx, op, request{limits: &l})
}

// SetFlags changes FlagBackup and FlagFullmesh of an endpoint, found by its ID
// or, with ID 0, by its Addr; both flags take the value that e.Flags has, and
// so do the subflows that use the endpoint. Fails with ErrNotFound, which Linux 6.1 says
// also of FlagFullmesh for an endpoint that has FlagSignal: others say ErrInvalid.
func (c *Client) SetFlags(ctx context.Context, e Endpoint) error {
	op := operation{cmd: cmdSetFlags, name: "set flags", on: said(e.String()), since: "5.12", looksUp: true}
	switch {
	case e.ID != 0:
		return c.do(ctx, op, request{addr: &Endpoint{ID: e.ID, Flags: e.Flags}})
	default:
		if err := op.checkAddr("endpoint without id", e.Addr); err != nil {
			return err
		}
		return c.do(ctx, op, request{addr: &Endpoint{Addr: e.Addr, Port: e.Port, Flags: e.Flags}})
	}
}
