package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
)

// A Priority says whether a subflow carries data while others work, RFC 8684
// section 3.3.8.
type Priority uint8

// The priorities. Either end's Backup makes a subflow a backup.
const (
	Normal Priority = iota
	Backup          // used when no normal subflow works
)

// String returns "normal" or "backup".
func (p Priority) String() string {
	if p == Backup {
		return "backup"
	}
	return "normal"
}

// OpenSub opens a subflow between two addresses and waits until it is
// established or has failed, or ctx ends, which takes the attempt back. It is
// HB16's MPTCP_OPEN_SUB_TUPLE. Local port 0 lets the kernel choose one. An
// invalid or unspecified local address stands for the one that routing chooses,
// an invalid remote end for the peer's address of the local one's family. The
// zone of a link-local local address names its interface.
//
// The options hold for the subflow from its SYN on; when the kernel refuses one
// there is no subflow. They go by the two ends, so subflows with different
// options between the same addresses are opened one after the other.
//
// A server can open subflows too; hosts that are mere clients refuse them. Until
// something has come from the peer after the handshake no subflow can join a
// client's connection: OpenSub waits for that.
//
// errors.Is tells ErrNoController, ErrKernelManaged, ErrSteered,
// ErrAddressFamily, ErrInvalid, ErrNotMultipath, those of SubSetsockopt, net.ErrClosed; ErrSubflowFailed
// with syscall.ECONNREFUSED, ETIMEDOUT and the like; syscall.EADDRNOTAVAIL for a
// local address that is not this host's, ENETUNREACH where no route leads.
func (c *Conn) OpenSub(ctx context.Context, local, remote netip.AddrPort, prio Priority, options ...SubOption) (uapi.SubflowID, error) {
	op, err := c.beginManual("open subflow", fmt.Sprintf("%v → %v", local, remote))
	if err != nil {
		return 0, err
	}
	id, err := op.open(ctx, local, remote, prio, options...)
	return id, op.fail(err)
}

func (op operation) open(ctx context.Context, local, remote netip.AddrPort, prio Priority, options ...SubOption) (uapi.SubflowID, error) {
	if prio > Backup {
		return 0, fmt.Errorf("%w: priority %d", ErrInvalid, prio)
	}
	if err := op.joinable(ctx); err != nil {
		return 0, err
	}
	local, remote, err := op.ends(local, remote)
	if err != nil {
		return 0, err
	}
	rules, err := op.rulesFor(local, remote, options)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rules.remove() }()
	op.ctl.mu.Lock()
	seq, losses := op.rec.seq, op.rec.losses
	op.ctl.mu.Unlock()
	pair, err := op.create(ctx, local, remote, prio)
	if err != nil {
		return 0, err
	}
	if err := op.outcome(ctx, pair, seq, losses); err != nil {
		if ctx.Err() != nil {
			op.abandon(pair)
		}
		return 0, err
	}
	if err := rules.outcome(); err != nil {
		return 0, errors.Join(err, op.destroy(ctx, pair))
	}
	return op.idOf(pair)
}

// ends completes and checks the ends of a subflow.
func (op operation) ends(local, remote netip.AddrPort) (netip.AddrPort, netip.AddrPort, error) {
	if local.Addr().Is4In6() {
		local = unmapPort(local)
	}
	if remote.Addr().Is4In6() {
		remote = unmapPort(remote)
	}
	anyLocal := !local.Addr().IsValid() || local.Addr().IsUnspecified()
	op.ctl.mu.Lock()
	if !remote.Addr().IsValid() {
		remote = op.rec.first.Remote
		if !anyLocal {
			remote, _ = op.rec.table.RemoteFor(op.rec.first.Remote, local.Addr())
		}
	}
	op.ctl.mu.Unlock()
	switch {
	case !remote.IsValid():
		return local, remote, fmt.Errorf("%w: the peer has no address of the family of %v", ErrAddressFamily, local.Addr())
	case remote.Port() == 0:
		return local, remote, fmt.Errorf("%w: the remote end has no port", ErrInvalid)
	case anyLocal:
		a, err := sourceTowards(remote)
		return netip.AddrPortFrom(a, local.Port()), remote, err
	case local.Addr().Is4() != remote.Addr().Is4():
		return local, remote, fmt.Errorf("%w: %v and %v", ErrAddressFamily, local.Addr(), remote.Addr())
	case op.ipv4Only() && !local.Addr().Is4():
		return local, remote, fmt.Errorf("%w: the connection's socket is an IPv4 one", ErrAddressFamily)
	}
	return local, remote, nil
}

// ipv4Only reports whether the socket is of family AF_INET: the kernel lets no
// IPv6 subflow join it.
func (op operation) ipv4Only() bool {
	is4 := false
	_ = op.conn.control(func(fd int) {
		family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		is4 = err == nil && family == unix.AF_INET
	})
	return is4
}

// sourceTowards asks routing for the source address towards a destination.
// Nothing is sent.
func sourceTowards(remote netip.AddrPort) (netip.Addr, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(remote))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("no way to %v: %w", remote.Addr(), err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// create asks the kernel for the subflow and returns its ends. The local port is 0
// when the attempt has failed already.
func (op operation) create(ctx context.Context, local, remote netip.AddrPort, prio Priority) (Pair, error) {
	ifIndex, err := op.ctl.interfaceOf(local.Addr())
	if err != nil {
		return Pair{}, err
	}
	pair := Pair{
		Local:  netip.AddrPortFrom(local.Addr().WithZone(""), local.Port()),
		Remote: netip.AddrPortFrom(remote.Addr().WithZone(""), remote.Port()),
	}
	pair.Local, err = op.engine().Create(ctx, pair.Local, pair.Remote, ifIndex, prio == Backup)
	if err != nil {
		return pair, op.createError(err)
	}
	return pair, nil
}

// createError says what the kernel's answer means: EINVAL can stand for an end
// that does not fit.
func (op operation) createError(err error) error {
	if errors.Is(err, mptcppm.ErrNoConnection) || errors.Is(err, syscall.ENOTCONN) {
		if aerr := op.conn.alive(); aerr != nil {
			return net.ErrClosed
		}
		return fmt.Errorf("%w: %w", ErrNotEstablished, err)
	}
	return err
}

// interfaceOf returns the index of the interface that a subflow from an address
// is bound to, 0 for none: that of its zone, or of its path.
func (ctl *Controller) interfaceOf(a netip.Addr) (int, error) {
	if zone := a.Zone(); zone != "" {
		i, err := net.InterfaceByName(zone)
		if err != nil {
			return 0, fmt.Errorf("%w: zone %q: %w", ErrInvalid, zone, err)
		}
		return i.Index, nil
	}
	for _, p := range ctl.app.Paths() {
		for _, b := range p.Addrs {
			if b.Addr == a {
				return p.Index, nil
			}
		}
	}
	return 0, nil
}

// outcome waits until a subflow is established or has ended after number seq.
func (op operation) outcome(ctx context.Context, pair Pair, seq uint64, losses int) error {
	return op.await(ctx, func() (bool, error) {
		f, ok := op.rec.known(pair)
		if ok && f.Established {
			return true, nil
		}
		if e, ended := op.rec.ended(pair, seq); ended {
			return true, e.err()
		}
		if op.rec.losses != losses && !ok {
			return true, ErrSubflowFailed // its end was among events that were lost
		}
		return false, nil
	})
}

// abandon destroys an attempt whose caller does not wait any longer.
func (op operation) abandon(pair Pair) {
	if pair.Local.Port() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), handOver)
	defer cancel()
	_ = op.destroy(ctx, pair)
}

func (op operation) idOf(pair Pair) (uapi.SubflowID, error) {
	subflows, err := op.conn.Subflows()
	if err != nil {
		return 0, err
	}
	for _, s := range subflows {
		if s.Pair() == pair {
			return s.ID, nil
		}
	}
	return 0, fmt.Errorf("%w: it ended at once", ErrSubflowFailed)
}

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
