package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
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
	pair, seq, err := op.create(ctx, local, remote, prio)
	if err != nil {
		return 0, err
	}
	pair, err = op.outcome(ctx, pair, seq, prio)
	if err != nil {
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
			remote, _ = op.rec.remoteFor(local.Addr())
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

// create asks the kernel for the subflow. It returns its ends, as far as they
// can be known, and the number of the latest ending before.
func (op operation) create(ctx context.Context, local, remote netip.AddrPort, prio Priority) (Pair, uint64, error) {
	select {
	case <-op.rec.opening: // so that what is new afterwards is ours
		defer func() { op.rec.opening <- struct{}{} }()
	case <-ctx.Done():
		return Pair{}, 0, ctx.Err()
	}
	before, err := op.conn.Subflows()
	if err != nil {
		return Pair{}, 0, err
	}
	pair := Pair{
		Local:  netip.AddrPortFrom(local.Addr().WithZone(""), local.Port()),
		Remote: netip.AddrPortFrom(remote.Addr().WithZone(""), remote.Port()),
	}
	op.ctl.mu.Lock()
	id, ok := op.rec.addrID(pair.Local.Addr())
	seq := op.rec.seq
	op.ctl.mu.Unlock()
	if !ok {
		return pair, seq, fmt.Errorf("%w: the connection has used too many local addresses", ErrInvalid)
	}
	ep := mptcppm.Endpoint{ID: id, Addr: pair.Local.Addr(), Port: local.Port()}
	if ep.IfIndex, err = op.ctl.interfaceOf(local.Addr()); err != nil {
		return pair, seq, err
	}
	if prio == Backup {
		ep.Flags = mptcppm.FlagBackup
	}
	if err := op.ctl.cmds.CreateSubflow(ctx, op.rec.token, ep, pair.Remote); err != nil {
		return pair, seq, op.createError(err)
	}
	after, err := op.conn.Subflows()
	if err != nil {
		return pair, seq, err
	}
	return newest(before, after, pair), seq, nil
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

// newest finds the subflow between two ends that is in one reading and not in
// the one before. One that failed at once is in neither.
func newest(before, after []Subflow, want Pair) Pair {
	old := make(map[uapi.SubflowID]bool, len(before))
	for _, s := range before {
		old[s.ID] = true
	}
	for _, s := range after {
		if p := s.Pair(); !old[s.ID] && covers(want, p) {
			return p
		}
	}
	return want
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

// outcome waits until a subflow is established or has ended.
func (op operation) outcome(ctx context.Context, pair Pair, seq uint64, prio Priority) (Pair, error) {
	op.ctl.mu.Lock()
	readings := op.rec.readings
	op.ctl.mu.Unlock()
	err := op.await(ctx, func() (bool, error) {
		if f, p := op.rec.find(pair); f != nil {
			f.backup = prio == Backup
			pair = p
			return true, nil
		}
		if e, ok := op.rec.ended(pair, seq); ok {
			return true, e.err()
		}
		if op.rec.readings != readings && !op.rec.present[pair] {
			return true, ErrSubflowFailed // its end was among events that were lost
		}
		return false, nil
	})
	return pair, err
}

// find returns an established subflow by its ends.
func (r *record) find(p Pair) (*subRecord, Pair) {
	if f := r.subs[p]; f != nil {
		return f, p
	}
	if p.Local.Port() == 0 {
		for q, f := range r.subs {
			if covers(p, q) && q != r.first {
				return f, q
			}
		}
	}
	return nil, p
}

func (e ending) err() error {
	switch {
	case e.errno != 0:
		return fmt.Errorf("%w: %w", ErrSubflowFailed, e.errno)
	case e.reset != "":
		return fmt.Errorf("%w: the peer reset it: %s", ErrSubflowFailed, e.reset)
	}
	return ErrSubflowFailed
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
