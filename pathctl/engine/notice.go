package engine

import (
	"maps"
	"net/netip"
	"slices"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
)

// A Notice tells the owner of a registered connection what has happened to it.
// Notices come in the order in which the engine learned of it: the first one with
// the registration, then one for each event of the kernel, and one whenever the
// table has changed otherwise.
type Notice struct {
	// Event is the kernel's event; its Kind is 0 when there was none.
	Event mptcppm.Event
	// Lost says that events of the kernel were lost before this notice. The table
	// was read from the sockets since.
	Lost bool
	// Gone says that the engine has forgotten the connection: it is closed, or was
	// unregistered. It is the last notice.
	Gone bool
	// Table is what the engine knows now. It is shared: do not change it.
	Table *Table
}

// A Table is what the engine knows of the subflows of one connection, beyond what
// its socket tells.
type Table struct {
	// Established says that further subflows can join (RFC 8684 section 3.1).
	Established bool
	// DenyJoin says that the peer's first address takes no further subflows.
	DenyJoin bool
	// Announced are the peer's further addresses, by their ids (ADD_ADDR). Port
	// 0 stands for the port of the first subflow.
	Announced []AnnouncedAddr
	// Subflows are in the order in which they began.
	Subflows []KnownSubflow
}

// AnnouncedAddr is an address that the peer has announced.
type AnnouncedAddr struct {
	ID   uapi.AddrID
	Addr netip.AddrPort // unmapped
}

// KnownSubflow is a subflow of a Table.
type KnownSubflow struct {
	// Local and Remote are its ends, unmapped. The local port of one that is being
	// opened can be 0.
	Local, Remote netip.AddrPort
	// AddrID and RemoteID are the address ids of the ends; 0 is that of the
	// initial subflow.
	AddrID, RemoteID uapi.AddrID
	Established      bool
	// Backup is our flag, PeerBackup the peer's.
	Backup, PeerBackup bool
}

// RemoteFor returns the peer's address to join from a local address: first, that
// of the initial subflow, where the family is the same and the peer allows it,
// else an announced one.
func (t *Table) RemoteFor(first netip.AddrPort, local netip.Addr) (netip.AddrPort, bool) {
	if first.Addr().Is4() == local.Is4() && !t.DenyJoin {
		return first, true
	}
	for _, a := range t.Announced {
		if a.Addr.Addr().Is4() != local.Is4() {
			continue
		}
		if a.Addr.Port() == 0 {
			return netip.AddrPortFrom(a.Addr.Addr(), first.Port()), true
		}
		return a.Addr, true
	}
	return netip.AddrPort{}, false
}

// audience is who is told of a connection, and what was told last.
type audience struct {
	notify func(Notice)
	told   Table
	lost   bool // events, since the last notice
}

// table is a connection's Table now.
func (c *connection) table() Table {
	t := Table{Established: c.established, DenyJoin: c.denyJoin}
	for _, id := range slices.Sorted(maps.Keys(c.announced)) {
		t.Announced = append(t.Announced, AnnouncedAddr{id, unmap(c.announced[id])})
	}
	for _, f := range c.subflows {
		t.Subflows = append(t.Subflows, KnownSubflow{
			Local: unmap(f.local), Remote: unmap(f.remote), AddrID: f.addrID, RemoteID: f.remoteID,
			Established: f.established, Backup: f.backup, PeerBackup: f.peerBackup,
		})
	}
	return t
}

func (t Table) equal(u Table) bool {
	return t.Established == u.Established && t.DenyJoin == u.DenyJoin &&
		slices.Equal(t.Announced, u.Announced) && slices.Equal(t.Subflows, u.Subflows)
}

// hear makes notify the audience of a connection and tells it what is known.
func (c *connection) hear(notify func(Notice)) {
	switch {
	case notify == nil:
		c.audience = nil
	case c.audience == nil:
		c.audience = &audience{notify: notify, told: c.table()}
		told := c.audience.told
		notify(Notice{Table: &told})
	default:
		c.audience.notify = notify
	}
}

// tell tells the audience of an event, or, when its Kind is 0, of a change of the
// table, if there is one.
func (c *connection) tell(ev mptcppm.Event) {
	if c.audience == nil {
		return
	}
	now := c.table()
	if ev.Kind == 0 && !c.audience.lost && now.equal(c.audience.told) {
		return
	}
	n := Notice{Event: ev, Lost: c.audience.lost, Table: &now}
	c.audience.told, c.audience.lost = now, false
	c.audience.notify(n)
}

// part tells the audience that the connection is forgotten.
func (c *connection) part() {
	if c.audience != nil {
		c.audience.notify(Notice{Gone: true, Lost: c.audience.lost, Table: &c.audience.told})
		c.audience = nil
	}
}

// missed takes note that events were lost.
func (e *Engine) missed() {
	for _, c := range e.conns {
		if c.audience != nil {
			c.audience.lost = true
		}
	}
}
