package mptcpsock

import (
	"fmt"

	"mpproxy/mptcpsock/uapi"
)

// SubStatus is one subflow as SubIDs lists it.
type SubStatus struct {
	// ID names the subflow in all other calls. It stays the same for the
	// subflow's life and is not given to another one of the connection.
	ID   uapi.SubflowID
	Pair Pair
	// Initial says that the connection began with it.
	Initial bool
	State   uapi.TCPState
	// Backup and PeerBackup are the priorities that either end has given it.
	// Only a Controller of package control knows them, and sets PriorityKnown.
	Backup, PeerBackup bool
	PriorityKnown      bool
}

// SubIDs lists the connection's subflows, those included that are being opened
// or closed, in the kernel's order. It is HB16's MPTCP_GET_SUB_IDS and needs no
// privilege. A plain TCP connection has one.
//
// Ids are the kernel's (Linux 6.5 and later), counted from 1 for the initial
// subflow; where it gives none, they are counted in the order in which this Conn
// has first seen the subflows.
func (c *Conn) SubIDs() ([]SubStatus, error) {
	subflows, err := c.Subflows()
	if err != nil {
		return nil, err
	}
	first := Pair{c.LocalAddrPort(), c.RemoteAddrPort()}
	out := make([]SubStatus, 0, len(subflows))
	for _, s := range subflows {
		if s.TCP.State == uapi.TCPClose {
			continue // the initial one, of which the kernel keeps the shell
		}
		out = append(out, SubStatus{ID: s.ID, Pair: s.Pair(), Initial: s.Pair() == first, State: s.TCP.State})
	}
	return out, nil
}

// SubTuple returns the two ends of a subflow. It is HB16's MPTCP_GET_SUB_TUPLE
// and needs no privilege. It fails with ErrUnknownSubflow.
func (c *Conn) SubTuple(id uapi.SubflowID) (Pair, error) {
	s, err := c.Subflow(id)
	if err != nil {
		return Pair{}, &OpError{Op: "subflow's ends", On: fmt.Sprint(id), Err: err}
	}
	return s.Pair(), nil
}

// SubTCPInfo reads TCP_INFO of one subflow: round-trip times, timeout, windows,
// rates and counters. It needs no privilege and fails with ErrUnknownSubflow.
func (c *Conn) SubTCPInfo(id uapi.SubflowID) (uapi.TCPInfo, error) {
	s, err := c.Subflow(id)
	if err != nil {
		return uapi.TCPInfo{}, &OpError{Op: "read TCP_INFO of subflow", On: fmt.Sprint(id), Err: err}
	}
	return s.TCP, nil
}

// Subflow reads one subflow. It fails with ErrUnknownSubflow.
func (c *Conn) Subflow(id uapi.SubflowID) (Subflow, error) {
	subflows, err := c.Subflows()
	if err != nil {
		return Subflow{}, err
	}
	for _, s := range subflows {
		if s.ID == id && s.TCP.State != uapi.TCPClose {
			return s, nil
		}
	}
	return Subflow{}, ErrUnknownSubflow
}
