package mptcpsock

import (
	"fmt"

	"mpproxy/mptcpsock/uapi"
)

// SubStatus is one subflow as SubIDs lists it.
type SubStatus struct {
	// ID names the subflow in all other calls. It stays the same for the
	// subflow's life and is not given to another one of the connection.
	ID uapi.SubflowID
	// Initial says that the connection began with it.
	Initial bool
	State   uapi.TCPState
	// Backup and PeerBackup are the priorities that either end has given it.
	// Only a Controller knows them: PriorityKnown.
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
		p := Pair{s.Local, s.Remote}
		st := SubStatus{ID: s.ID, Initial: p == first, State: s.TCP.State}
		if a := c.attached.Load(); a != nil {
			a.ctl.mu.Lock()
			if f := a.rec.subs[p]; f != nil && !a.ctl.closed {
				st.Backup, st.PeerBackup, st.PriorityKnown = f.backup, f.peerBackup, true
			}
			a.ctl.mu.Unlock()
		}
		out = append(out, st)
	}
	return out, nil
}

// SubTuple returns the two ends of a subflow. It is HB16's MPTCP_GET_SUB_TUPLE
// and needs no privilege. It fails with ErrUnknownSubflow.
func (c *Conn) SubTuple(id uapi.SubflowID) (Pair, error) {
	s, err := c.subflow(id)
	if err != nil {
		return Pair{}, &OpError{Op: "subflow's ends", On: fmt.Sprint(id), Err: err}
	}
	return Pair{s.Local, s.Remote}, nil
}

// subflow reads one subflow.
func (c *Conn) subflow(id uapi.SubflowID) (Subflow, error) {
	subflows, err := c.Subflows()
	if err != nil {
		return Subflow{}, err
	}
	return findSub(subflows, id)
}

func findSub(subflows []Subflow, id uapi.SubflowID) (Subflow, error) {
	for _, s := range subflows {
		if s.ID == id && s.TCP.State != uapi.TCPClose {
			return s, nil
		}
	}
	return Subflow{}, ErrUnknownSubflow
}
