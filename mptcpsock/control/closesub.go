package control

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mpproxy/mptcpsock/uapi"
)

// CloseSub closes a subflow. What was under way on it is sent again on the
// others, and no byte is lost. It is HB16's MPTCP_CLOSE_SUB_ID. The last
// established subflow stays, with ErrLastSubflow; ErrUnknownSubflow and the
// errors of OpenSub are told by errors.Is.
func (c *Conn) CloseSub(ctx context.Context, id uapi.SubflowID) error {
	op, err := c.beginManual("close subflow", fmt.Sprint(id))
	if err != nil {
		return err
	}
	return op.fail(op.close(ctx, id))
}

func (op operation) close(ctx context.Context, id uapi.SubflowID) error {
	subflows, err := op.conn.Subflows()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(subflows, func(s Subflow) bool { return s.ID == id && s.TCP.State != uapi.TCPClose })
	if i < 0 {
		return ErrUnknownSubflow
	}
	if !othersEstablished(subflows, func(o Subflow) bool { return o.ID == id }) {
		return ErrLastSubflow
	}
	return op.destroy(ctx, subflows[i].Pair())
}

// othersEstablished reports whether a subflow is established for which but is
// false.
func othersEstablished(subflows []Subflow, but func(Subflow) bool) bool {
	for _, s := range subflows {
		if s.TCP.State == uapi.TCPEstablished && !but(s) {
			return true
		}
	}
	return false
}

func (op operation) destroy(ctx context.Context, p Pair) error {
	return op.engine().Destroy(ctx, p.Local, p.Remote)
}

// SetPriority makes a subflow a backup, or normal, and tells the peer (MP_PRIO,
// RFC 8684 section 3.3.8, Linux 6.0). Errors are those of CloseSub, ErrInvalid for
// a priority that is none, and ErrNotEstablished.
func (c *Conn) SetPriority(ctx context.Context, id uapi.SubflowID, prio Priority) error {
	op, err := c.beginManual("set priority "+prio.String(), fmt.Sprint(id))
	if err != nil {
		return err
	}
	return op.fail(op.prioritise(ctx, id, prio))
}

func (op operation) prioritise(ctx context.Context, id uapi.SubflowID, prio Priority) error {
	if prio > Backup {
		return fmt.Errorf("%w: priority %d", ErrInvalid, prio)
	}
	s, err := op.conn.Subflow(id)
	if err != nil {
		return err
	}
	if s.TCP.State != uapi.TCPEstablished {
		return ErrNotEstablished
	}
	return op.engine().SetBackup(ctx, s.Local, s.Remote, prio == Backup)
}

// Prefer makes the given subflows normal and all others backups, in this order,
// so that there is a normal one at every moment. Errors are those of SetPriority;
// ErrInvalid when no subflow is given.
func (c *Conn) Prefer(ctx context.Context, ids ...uapi.SubflowID) error {
	op, err := c.beginManual("prefer subflows", fmt.Sprint(ids))
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return op.fail(fmt.Errorf("%w: no subflow given", ErrInvalid))
	}
	subflows, err := c.Subflows()
	if err != nil {
		return op.fail(err)
	}
	preferred := make(map[uapi.SubflowID]bool, len(ids))
	for _, id := range ids {
		if err := op.prioritise(ctx, id, Normal); err != nil {
			return op.fail(err)
		}
		preferred[id] = true
	}
	for _, s := range subflows {
		if preferred[s.ID] || s.TCP.State != uapi.TCPEstablished {
			continue
		}
		if err := op.prioritise(ctx, s.ID, Backup); err != nil && !errors.Is(err, ErrUnknownSubflow) {
			return op.fail(err)
		}
	}
	return nil
}
