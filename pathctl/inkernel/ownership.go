package inkernel

import (
	"fmt"
	"net/netip"
	"slices"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
)

// endpointsKey is the journal's entry for the endpoints that are registered.
const endpointsKey = "mptcp.endpoints"

// Keys are the entries of a journal that a Manager makes.
var Keys = []string{endpointsKey, limitsKey}

// ownEndpoint is an endpoint that we registered. Its id alone does not tell: the
// kernel gives the next program's endpoint the number that follows ours
// (mptcp_pm_nl_append_new_local_addr, net/mptcp/pm_kernel.c).
type ownEndpoint struct {
	ID   uapi.AddrID
	Addr netip.Addr
}

// ownership is what we have registered, as it stands in the journal.
type ownership []ownEndpoint

func (o ownership) has(e mptcppm.Endpoint) bool {
	return slices.Contains(o, ownEndpoint{e.ID, e.Addr})
}

func (o ownership) with(added []mptcppm.Endpoint) ownership {
	for _, e := range added {
		o = append(o.without(e), ownEndpoint{e.ID, e.Addr})
	}
	return o
}

func (o ownership) without(e mptcppm.Endpoint) ownership {
	return slices.DeleteFunc(o, func(x ownEndpoint) bool { return x == ownEndpoint{e.ID, e.Addr} })
}

// record notes what is ours, before it is.
func (k *Manager) record(own ownership) error {
	var err error
	if len(own) == 0 {
		err = k.journal.Done(endpointsKey)
	} else {
		err = k.journal.Record(endpointsKey, own)
	}
	if err != nil {
		return fmt.Errorf("noting which endpoints are ours: %w", err)
	}
	k.own.Store(&own)
	return nil
}

// owned is what is ours. It may be called from any goroutine.
func (k *Manager) owned() ownership {
	if o := k.own.Load(); o != nil {
		return *o
	}
	return nil
}
