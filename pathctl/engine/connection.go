package engine

import (
	"net/netip"
	"slices"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/estimate"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/policy"
)

// connection is the controller's record of one MPTCP connection.
type connection struct {
	reg      Registration
	audience *audience // nil: nobody is told
	ours     bool      // registered by the data path
	server   bool      // accepted here
	since    time.Time

	established bool
	crowded     bool           // it was said that it had more subflows than it may have
	denyJoin    bool           // the peer's first address takes no further subflows
	local0      netip.AddrPort // of the first subflow, as the kernel has it
	remote0     netip.AddrPort
	announced   map[uapi.AddrID]netip.AddrPort // by the peer; nil: nothing yet
	subflows    []*subflow                     // as they began; no two have the same key
	ended       map[subflowKey]ending          // nil: nothing yet
	refusals    map[string]refusal             // of its joins, by path; nil: none yet
	joinedAt    time.Time                      // when a further subflow was last established; zero: never
	refusedAt   time.Time                      // when a join was last refused since; zero: none was
	unknown     bool                           // where others join: the peer does not know it
	nextID      policy.SubflowID
	memory      policy.Memory
	begun       bool   // it has what others have noted of its paths
	looks       uint64 // that were recorded
	served      bool   // not ours, and given its subflows
	looked      bool   // its policy was asked, or its sockets were read
	last        string // the last decision, for people

	look  time.Time // when to look at it next
	index int       // in the queue; -1: not in it
	// quiet counts looks at which nothing moved.
	quiet          int
	sent, received uint64
	pending        uint64
	linger         time.Duration // the bound of its subflows' queues; 0: none yet
	unsent         int           // the bound of what it holds unsent, in bytes; 0: none
	unboundable    bool          // that cannot be bounded
	unprodable     bool          // that the kernel cannot be told
	prodded        time.Time     // until when the peer is asked for signs of life soon; zero: not
	buffer         int           // its send buffer, in bytes; 0: the kernel tunes it
	holds          held          // in that, as it was read last
	urgent         bool          // an event asks for a look at once
}

// subflowKey names a subflow by its ends, IPv4 addresses unmapped.
type subflowKey struct{ local, remote netip.AddrPort }

func keyOf(local, remote netip.AddrPort) subflowKey {
	return subflowKey{unmap(local), unmap(remote)}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// subflow is the controller's record of one subflow.
type subflow struct {
	id            policy.SubflowID
	path          string
	local, remote netip.AddrPort // as the kernel has them: commands want them so
	addrID        uapi.AddrID    // of the local end
	remoteID      uapi.AddrID    // of the peer's end; 0 is that of the first subflow
	device        int            // index of the interface that it is bound to; 0: not known
	initial       bool
	established   bool
	asked         bool // for by us, and not read back yet
	backup        bool // our flag
	peerBackup    bool
	since         time.Time
	usedAt        time.Time // when our backup flag was taken from it
	seen          bool      // in the last reading
	obs           estimate.Subflow
	toldRate      uint64 // to subflows that will begin on its path
}

// noMode is that of a connection that nobody has registered with one.
var noMode policy.Spec

func newConnection(now time.Time) *connection {
	return &connection{since: now, index: -1, reg: Registration{Mode: &noMode}}
}

// wide says that its send buffer is fixed, and far wider than what it may hold unsent.
func (c *connection) wide() bool { return c.buffer > 0 }

func (f *subflow) key() subflowKey { return keyOf(f.local, f.remote) }

// find returns the subflow with these ends, nil if there is none.
func (c *connection) find(local, remote netip.AddrPort) *subflow {
	k := keyOf(local, remote)
	for _, f := range c.subflows {
		if f.key() == k {
			return f
		}
	}
	return nil
}

// forget takes a subflow out. A loop over the subflows may call it.
func (c *connection) forget(f *subflow) {
	c.subflows = slices.DeleteFunc(slices.Clone(c.subflows), func(o *subflow) bool { return o == f })
}

// ending is what is remembered of a subflow that is gone, until the kernel's
// event about its end has come: that may be after a reading without it, and
// must not be taken for the end of one that is being opened in its place.
type ending struct {
	path        string
	since       time.Time
	established bool
	ours        bool // we destroyed it
	at          time.Time
}

// endingKept is how long the event may take.
const endingKept = 10 * time.Second

// end forgets a subflow but for its ending.
func (c *connection) end(f *subflow, ours bool, now time.Time) {
	c.forget(f)
	k := f.key()
	if k.local.Port() == 0 {
		return // no event can name it
	}
	ours = ours || c.ended[k].ours
	if c.ended == nil {
		c.ended = make(map[subflowKey]ending)
	}
	c.ended[k] = ending{f.path, f.since, f.established, ours, now}
}

// takeEnded forgets the subflow that the kernel says has ended, and returns what it
// was; ok is false when it is our doing, or unknown.
func (c *connection) takeEnded(local, remote netip.AddrPort) (end ending, ok bool) {
	f, k := c.find(local, remote), keyOf(local, remote)
	if f == nil {
		if e, known := c.ended[k]; known {
			delete(c.ended, k)
			return e, !e.ours
		}
		f = c.adopt(local, remote, 0)
	}
	if f != nil {
		c.forget(f)
		return ending{path: f.path, since: f.since, established: f.established}, true
	}
	return ending{}, false
}

// forgetEndings drops those whose event has not come.
func (c *connection) forgetEndings(now time.Time) {
	for k, e := range c.ended {
		if now.Sub(e.at) >= endingKept {
			delete(c.ended, k)
		}
	}
}

// addSubflow records a subflow that an event or a reading shows.
func (c *connection) addSubflow(local, remote netip.AddrPort, path string, now time.Time) *subflow {
	if f := c.find(local, remote); f != nil {
		return f
	}
	c.nextID++
	f := &subflow{id: c.nextID, path: path, local: local, remote: remote, since: now}
	c.subflows = append(c.subflows, f)
	return f
}

// pendingOn returns the subflow that is being opened from a local address over a
// device, nil if there is none: its port is not known before the kernel says it.
// Device 0 is any.
func (c *connection) pendingOn(local netip.Addr, device int) *subflow {
	for _, f := range c.subflows {
		if !f.established && f.local.Port() == 0 && f.local.Addr().Unmap() == local.Unmap() &&
			(device == 0 || f.device == 0 || f.device == device) {
			return f
		}
	}
	return nil
}

// adopt gives a pending subflow the ends that the kernel chose.
func (c *connection) adopt(local, remote netip.AddrPort, device int) *subflow {
	f := c.find(local, remote)
	if f == nil {
		if f = c.pendingOn(local.Addr(), device); f != nil {
			f.local, f.remote = local, remote
		}
	}
	return f
}

// update merges a reading: new subflows are recorded, vanished ones dropped.
// Pending ones without a port stay until an event or their time is up.
func (c *connection) update(r Reading, pathOf func(c *connection, local, remote netip.Addr) string, now time.Time) {
	for _, f := range c.subflows {
		f.seen = false
	}
	for _, s := range r.Subflows {
		if s.TCP.State.Closing() {
			continue
		}
		f := c.adopt(s.Local, s.Remote, 0)
		if f == nil {
			f = c.addSubflow(s.Local, s.Remote, pathOf(c, s.Local.Addr(), s.Remote.Addr()), now)
		}
		f.seen = true
		f.established = f.established || s.TCP.State == uapi.TCPEstablished
		f.obs.Add(s.TCP, now)
	}
	for _, f := range c.subflows {
		if !f.seen && (f.established || f.local.Port() != 0) {
			c.end(f, false, now)
		}
	}
	c.learn(r)
	c.forgetEndings(now)
	moved := r.Info.BytesAcked != c.sent || r.Info.BytesReceived != c.received
	c.sent, c.received = r.Info.BytesAcked, r.Info.BytesReceived
	c.pending = r.Info.WriteSeq - r.Info.SndUna
	if moved {
		c.quiet = 0
	} else {
		c.quiet++
	}
}

// view is what the policy sees. The machine has not stood still since awake.
func (c *connection) view(awake, now time.Time) policy.Conn {
	v := policy.Conn{
		Role: c.reg.Role, Mode: c.reg.Mode.Base, Params: c.reg.Mode.Params,
		Age: now.Sub(c.since), Sent: c.sent, Received: c.received, Pending: c.pending,
		CannotJoin: !c.established, Prefer: c.reg.Paths,
	}
	for _, f := range c.subflows {
		v.Subflows = append(v.Subflows, f.obs.View(policy.Subflow{
			ID: f.id, Path: f.path, Initial: f.initial, Backup: f.backup, PeerBackup: f.peerBackup,
			Established: f.established, Age: now.Sub(f.since), UsedAgo: f.usedAgo(now),
		}, awake, now))
	}
	return v
}

// usedAgo is how long ago the scheduler began to give it data.
func (f *subflow) usedAgo(now time.Time) time.Duration {
	return now.Sub(later(f.usedAt, f.since))
}

// worksOn reports whether a subflow on a path moves data: then the path is not to
// blame for another one.
func (c *connection) worksOn(path string) bool {
	for _, f := range c.subflows {
		if f.path == path && f.established && f.obs.Busy() && f.obs.Timeouts() == 0 {
			return true
		}
	}
	return false
}

// byID finds a subflow by the id that the policy knows, nil if there is none.
func (c *connection) byID(id policy.SubflowID) *subflow {
	for _, f := range c.subflows {
		if f.id == id {
			return f
		}
	}
	return nil
}

// remoteFor returns the peer's address to join from a local address: the
// first one where the family is the same, else an announced one.
func (c *connection) remoteFor(local netip.Addr) (netip.AddrPort, bool) {
	if !c.remote0.IsValid() {
		return netip.AddrPort{}, false // no event has told yet
	}
	first := unmap(c.remote0)
	if first.Addr().Is4() == local.Is4() && !c.denyJoin {
		return first, true
	}
	for _, a := range c.announced {
		a = unmap(a)
		if a.Addr().Is4() == local.Is4() {
			if a.Port() == 0 {
				a = netip.AddrPortFrom(a.Addr(), first.Port())
			}
			return a, true
		}
	}
	return netip.AddrPort{}, false
}

// applyEvent records what an event says about the connection itself. Subflow
// events are the controller's.
func (c *connection) applyEvent(ev mptcppm.Event) {
	switch ev.Kind {
	case mptcppm.EventCreated, mptcppm.EventEstablished:
		c.local0, c.remote0 = ev.Local, ev.Remote
		c.server = ev.ServerSide
		c.denyJoin = ev.DenyJoinID0()
		c.established = c.established || ev.Kind == mptcppm.EventEstablished
	case mptcppm.EventAnnounced:
		if c.announced == nil {
			c.announced = make(map[uapi.AddrID]netip.AddrPort)
		}
		c.announced[ev.RemoteID] = ev.Remote
	case mptcppm.EventRemoved:
		delete(c.announced, ev.RemoteID)
	}
}

// learn takes from a reading what events would have told, had they not been lost:
// that further subflows may join, and where the connection began. Payload of the
// peer shows the first: it comes with the peer's acknowledgement of our key (RFC
// 8684 section 3.1). That the peer's first address takes no further subflows is not
// to be seen: it refuses them then.
func (c *connection) learn(r Reading) {
	if c.established {
		return
	}
	for _, s := range r.Subflows { // in the kernel's order: the first one first
		f := c.find(s.Local, s.Remote)
		if f == nil || s.TCP.State != uapi.TCPEstablished || s.TCP.BytesReceived == 0 {
			continue
		}
		c.established = true
		if !c.remote0.IsValid() {
			c.local0, c.remote0 = s.Local, s.Remote
			f.initial = true
		}
		return
	}
}
