package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/subflowbpf"
)

// How often a connection is looked at: often while data moves, seldom while
// nothing happens, at once when an event asks for it. Events come by
// themselves; looking is for what has none.
const (
	lookBusy   = 100 * time.Millisecond
	lookCalm   = 400 * time.Millisecond // nothing was in flight
	lookUrgent = 20 * time.Millisecond
	lookIdle   = 2 * time.Second
	// lookAgain bounds how long a policy may put a look off.
	lookAgain = 10 * time.Second
	// strangerWait is how long a connection may be unknown to the data path
	// before it is taken for another program's.
	strangerWait = 500 * time.Millisecond
	// strangerKept is how long another program's connection is remembered when
	// there is nothing to do for it: its end may be among events that were lost,
	// and one that nobody has accepted ends without any.
	strangerKept = time.Minute
	// flowRate is how many bytes a second are a flow and no conversation.
	flowRate = 16_000
)

// Commands are what the engine asks of the kernel's path manager: a
// *mptcppm.Client.
type Commands interface {
	CreateSubflow(ctx context.Context, token uapi.Token, local mptcppm.Endpoint, remote netip.AddrPort) error
	DestroySubflow(ctx context.Context, token uapi.Token, local, remote netip.AddrPort) error
	SetSubflowBackup(ctx context.Context, token uapi.Token, local, remote netip.AddrPort, backup bool) error
	Announce(ctx context.Context, token uapi.Token, e mptcppm.Endpoint) error
	Remove(ctx context.Context, token uapi.Token, id uapi.AddrID) error
	Endpoints(ctx context.Context) ([]mptcppm.Endpoint, error)
	Limits(ctx context.Context) (mptcppm.Limits, error)
}

// Events are what the engine's goroutine waits for: a *mptcppm.Events. SetDeadline
// is called by any goroutine, and ends a Next that waits.
type Events interface {
	Next() (mptcppm.Event, error)
	SetDeadline(t time.Time) error
}

// Config is what an engine works with.
type Config struct {
	Role     policy.Role
	Commands Commands
	Events   Events
	Watch    *subflowbpf.Watcher // nil: timeouts are not watched for
	Recorder Recorder            // of what the policies saw and decided; nil: nobody
	// Announce lists the addresses that a concentrator tells its clients.
	Announce []netip.Addr
	// LeaveStrangers leaves other programs' connections to another controller.
	LeaveStrangers bool
	// BufferMemory is how many bytes all connections together may hold unacknowledged
	// before their send buffers are narrowed; 0: send buffers are left to the kernel.
	// They can be wide only where Watch bounds what a subflow holds.
	BufferMemory uint64
	// Made reads what the kernel made of the subflow between two ends; nil: what was
	// asked for is believed.
	Made func(ctx context.Context, local, remote netip.AddrPort) (Made, error)
	Log  *slog.Logger // nil: nothing is logged
}

// Engine is the controller in user space: one goroutine, Run's, owns all of its
// state. Everything that happens reaches it as a function or an event. Its exported
// methods may be called from any goroutine.
type Engine struct {
	role  policy.Role
	log   *slog.Logger
	cmds  Commands
	watch *subflowbpf.Watcher

	made    func(ctx context.Context, local, remote netip.AddrPort) (Made, error)
	ignored ignored

	events Events
	inbox  chan func(now time.Time)
	ended  chan struct{} // closed when the loop has returned

	conns map[uapi.Token]*connection
	queue queue
	paths []netpath.Path
	upAt  map[string]time.Time
	awake time.Time // the end of the last standstill
	// ids gives each local address an MPTCP address id that stays the same
	// while the program runs.
	ids map[netip.Addr]uapi.AddrID
	// states holds what is believed about each path: the client's by name, a
	// concentrator's by the client's address.
	states  map[string]*pathstate.State
	buffers buffers
	// announce lists the addresses that a concentrator tells its clients.
	announce []netip.Addr
	// leaveStrangers leaves other programs' connections to another controller.
	leaveStrangers bool

	prober prober
	// requalifying holds the paths that are being probed in a row, each with what was
	// believed about it when that began.
	requalifying map[string]*pathstate.State
	probes       sync.WaitGroup // of the probes under way

	decisions decisionRing
	// said is the latest decision, and reconciling whether it came of a plan.
	said        *Decision
	reconciling bool
	recorder    Recorder // nil: nobody records
	looks       lookTimer
	// told is a copy of states that any goroutine may read.
	told atomic.Pointer[map[string]pathstate.State]
	lost atomic.Uint64 // gaps in the events
}

// New returns an engine; nothing happens before Run.
func New(cfg Config) *Engine {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		role: cfg.Role, log: cfg.Log, cmds: cfg.Commands, watch: cfg.Watch, announce: cfg.Announce,
		events: cfg.Events, recorder: cfg.Recorder, leaveStrangers: cfg.LeaveStrangers, buffers: newBuffers(cfg.BufferMemory), made: cfg.Made,
		inbox:        make(chan func(time.Time), inboxSize),
		ended:        make(chan struct{}),
		conns:        make(map[uapi.Token]*connection),
		upAt:         make(map[string]time.Time),
		ids:          make(map[netip.Addr]uapi.AddrID),
		states:       make(map[string]*pathstate.State),
		prober:       handshake{},
		requalifying: make(map[string]*pathstate.State),
	}
	e.told.Store(&map[string]pathstate.State{})
	return e
}

func (e *Engine) lookAtAll(now time.Time) {
	for _, c := range e.conns {
		e.queue.sooner(c, now)
	}
}

// register takes a connection of the data path under control.
func (e *Engine) register(reg Registration) func(time.Time) {
	return func(now time.Time) {
		c := e.connection(reg.Token, now)
		if reg.Mode == nil {
			reg.Mode = &noMode
		}
		c.reg, c.ours = reg, true
		c.hear(reg.Notify)
		e.beginBounds(c)
		for _, f := range c.subflows { // they may have begun before its role was known
			if f.initial {
				f.device = reg.Device
			}
			f.path = e.pathOn(c, f.local.Addr(), f.remote.Addr(), f.device)
		}
		e.lookSoon(c, now)
	}
}

// lookSoon has a connection looked at because of news. Before it is established
// there is nothing to decide, and a look would hold up its first data, whose
// acknowledgement establishes it: it took 0.4 ms of a handshake. The concentrator,
// which makes no subflows, does not look at the first moments either.
func (e *Engine) lookSoon(c *connection, now time.Time) {
	if !c.established || c.ours && !c.looked && c.reg.Role == policy.Concentrator {
		now = now.Add(lookBusy)
	}
	e.queue.sooner(c, now)
}

// describe says what a connection carries, and on which paths.
func (e *Engine) describe(token uapi.Token, d Description, paths []string) func(time.Time) {
	return func(now time.Time) {
		c := e.conns[token]
		if c == nil {
			return
		}
		c.reg.Description = d
		if !slices.Equal(c.reg.Paths, paths) {
			c.reg.Paths = paths
			e.lookSoon(c, now)
		}
	}
}

// unregister forgets a connection of the data path.
func (e *Engine) unregister(token uapi.Token) func(time.Time) {
	return func(time.Time) { e.forget(token) }
}

func (e *Engine) forget(token uapi.Token) {
	if c := e.conns[token]; c != nil {
		e.queue.remove(c)
		e.buffers.enter(&c.holds, held{})
		delete(e.conns, token)
		c.part()
	}
}

func (e *Engine) connection(token uapi.Token, now time.Time) *connection {
	c := e.conns[token]
	if c == nil {
		c = newConnection(now)
		c.reg.Token, c.reg.Role = token, e.role
		e.conns[token] = c
	}
	return c
}

// setPaths takes a new snapshot of the paths.
func (e *Engine) setPaths(paths []netpath.Path) func(time.Time) {
	return func(now time.Time) {
		before := e.upAt
		e.upAt = make(map[string]time.Time)
		for _, p := range paths {
			if p.State != netpath.Up {
				continue
			}
			at, was := before[p.Name]
			if !was {
				at = now
				delete(e.states, p.Name) // whatever was wrong, it is a new start
			}
			e.upAt[p.Name] = at
		}
		e.paths = paths
		e.forgetLostPaths()
		e.publish()
		e.namePaths()
		e.lookAtAll(now)
	}
}

// forgetLostPaths forgets what is believed about paths that are not there any more. The
// paths of a concentrator's connections are its clients', of which no snapshot tells.
func (e *Engine) forgetLostPaths() {
	if e.role == policy.Client {
		maps.DeleteFunc(e.states, func(name string, _ *pathstate.State) bool { return !e.hasPath(name) })
	}
}

// namePaths finds the paths of subflows anew: one may have begun before its path was
// known, and one whose address is gone is on no path any more. So it occupies none, and
// its path takes another subflow from its new address.
func (e *Engine) namePaths() {
	for _, c := range e.conns {
		for _, f := range c.subflows {
			f.path = e.pathOn(c, f.local.Addr(), f.remote.Addr(), f.device)
		}
	}
}

func (e *Engine) hasPath(name string) bool {
	_, ok := e.pathNamed(name)
	return ok
}

func (e *Engine) pathNamed(name string) (netpath.Path, bool) {
	for _, p := range e.paths {
		if p.Name == name {
			return p, true
		}
	}
	return netpath.Path{}, false
}

// onEvent takes an event of the kernel into account.
func (e *Engine) onEvent(ctx context.Context, ev mptcppm.Event, now time.Time) {
	switch ev.Kind {
	case mptcppm.EventListenerCreated, mptcppm.EventListenerClosed:
		return
	case mptcppm.EventClosed:
		e.forget(ev.Token)
		return
	}
	c := e.conns[ev.Token]
	begins := ev.Kind == mptcppm.EventCreated || ev.Kind == mptcppm.EventEstablished
	switch {
	case c == nil && !begins:
		// From before we took over, or from its last moments: the kernel tells of
		// the end when the program closes it, and subflows may outlive that.
		return
	case c == nil:
		c = e.connection(ev.Token, now)
	}
	c.applyEvent(ev)
	switch ev.Kind {
	case mptcppm.EventCreated, mptcppm.EventEstablished:
		e.begin(ctx, c, ev, now)
	case mptcppm.EventSubflowEstablished:
		e.readBack(ctx, c, e.subflowUp(c, ev, now))
	case mptcppm.EventSubflowClosed:
		e.subflowDown(c, ev, now)
	case mptcppm.EventRemoved:
		if c.ours {
			e.addressRemoved(ctx, c, ev.RemoteID, now)
		}
	case mptcppm.EventSubflowPriority:
		if f := c.find(ev.Local, ev.Remote); f != nil {
			f.peerBackup = ev.Backup
		}
	}
	if c.untouched() {
		e.examine(ctx, c, now) // before those that are due
	} else {
		e.lookSoon(c, now)
	}
	c.tell(ev)
}

// untouched reports whether c waits for its first plan, and may have it.
func (c *connection) untouched() bool {
	return c.ours && c.established && !c.looked && !c.reg.Manual && c.reg.Role == policy.Client
}

// begin records a connection's first subflow. A concentrator announces its
// other addresses to a client that may need them.
func (e *Engine) begin(ctx context.Context, c *connection, ev mptcppm.Event, now time.Time) {
	f := c.addSubflow(ev.Local, ev.Remote, e.pathOn(c, ev.Local.Addr(), ev.Remote.Addr(), c.reg.Device), now)
	f.device = c.reg.Device                 // the event does not tell
	f.local, f.remote = ev.Local, ev.Remote // a reading has them unmapped
	f.initial, f.established = true, true
	if ev.Kind != mptcppm.EventEstablished || !c.server {
		return
	}
	for i, a := range e.announce {
		if a == ev.Local.Addr().Unmap() {
			continue
		}
		if err := e.cmds.Announce(ctx, ev.Token, mptcppm.Endpoint{ID: mptcppm.FirstConcentratorID + uapi.AddrID(i), Addr: a}); err != nil {
			e.log.Debug("cannot announce an address", "address", a, "error", err)
		}
	}
}

func (e *Engine) subflowUp(c *connection, ev mptcppm.Event, now time.Time) *subflow {
	f := c.adopt(ev.Local, ev.Remote, ev.IfIndex)
	if f == nil {
		f = c.addSubflow(ev.Local, ev.Remote, e.pathOn(c, ev.Local.Addr(), ev.Remote.Addr(), ev.IfIndex), now)
	}
	f.device = cmp.Or(ev.IfIndex, f.device)
	f.local, f.remote, f.addrID, f.remoteID = ev.Local, ev.Remote, ev.LocalID, ev.RemoteID
	f.established, f.since = true, now
	c.joinedAt, c.refusedAt, c.unknown = now, time.Time{}, false
	f.peerBackup = ev.Backup && !f.backup
	if c.reg.Role == policy.Client && c.ours {
		recovered := e.stateOf(f.path).Learn(pathstate.Established, now)
		e.recovered(c, f.path, recovered, "a subflow was established", now)
	}
	return f
}

func (e *Engine) subflowDown(c *connection, ev mptcppm.Event, now time.Time) {
	end, ok := c.takeEnded(ev.Local, ev.Remote)
	if !ok {
		return // we destroyed it
	}
	// Closed in good order while the connection goes on: the peer's sending on
	// this path fails.
	why := "the peer closed the subflow"
	var errno error
	if ev.Errno != 0 {
		why, errno = "the subflow ended: "+ev.Errno.Error(), ev.Errno
	}
	e.decide(c, ActionFailed, end.path, reasonOf(kindOf(errno)), why)
	// Another program's peer says nothing about our path to the concentrator, nor
	// does ours when it gave up one of several subflows there.
	gaveUp := errno == nil && now.Sub(end.since) >= refusedWithin && c.worksOn(end.path)
	kind := troubleOf(end, errno, now)
	if kind == pathstate.JoinRefused && c.refusedAgain(end.path, e.stateOf(end.path).JoinedAt, now) {
		return
	}
	if c.ours && !gaveUp {
		e.pathFailed(end.path, kind, why, end.since, now)
	}
}

// onTimeout takes an expired retransmission timer into account: the connection
// is looked at now, not at its next turn.
func (e *Engine) onTimeout(ev subflowbpf.Event, now time.Time) {
	c := e.conns[ev.Token]
	if c == nil || !c.ours {
		return
	}
	switch ev.Kind {
	case subflowbpf.Timeout:
		if f := c.find(ev.Local, ev.Remote); f != nil {
			f.obs.Timeout(ev.Retransmits)
		}
		c.urgent = true
		e.queue.sooner(c, now)
	case subflowbpf.Retransmit:
		c.urgent = true
		e.queue.sooner(c, now.Add(lookUrgent))
	}
}

// examine reads a connection, asks its policy, and carries out what it says.
func (e *Engine) examine(ctx context.Context, c *connection, now time.Time) {
	if !c.ours {
		e.stranger(ctx, c, now)
		return
	}
	defer e.looks.count(time.Now())
	defer c.tell(mptcppm.Event{})
	if c.untouched() {
		// The event has told all that there is to know, and reading would only
		// delay the second subflow (SMAPP section 4.5).
		c.looked = true
		e.carryOut(ctx, c, e.consider(c, now), now)
		e.widen(c)
		e.queue.sooner(c, now.Add(lookBusy))
		return
	}
	r, err := c.reg.Reader.Read()
	if errors.Is(err, net.ErrClosed) {
		e.forget(c.reg.Token) // should its owner not have got through to say so
		return
	}
	if err != nil {
		// It ended, and its owner is about to say so; or it fell back to TCP.
		e.queue.schedule(c, now.Add(lookIdle))
		return
	}
	c.looked = true
	c.update(r, e.pathOf, now)
	e.buffers.enter(&c.holds, held{c.reg.User, c.pending})
	e.boundQueues(c, now)
	e.tellRates(c)
	if c.reg.Manual {
		e.queue.schedule(c, now.Add(lookIdle))
		return
	}
	e.observe(c, now)
	if e.endDead(c, now) {
		return
	}
	e.act(ctx, c, now)
}

// act asks a connection's policy and carries out what it says.
func (e *Engine) act(ctx context.Context, c *connection, now time.Time) {
	e.carryOut(ctx, c, e.consider(c, now), now)
}

// verdict is what a policy says of a connection, and upon what.
type verdict struct {
	look    Look // without its outcomes
	memory  policy.Memory
	changes []Change
}

// consider asks a connection's policy.
func (e *Engine) consider(c *connection, now time.Time) verdict {
	conn := c.view(e.awake, now)
	if !c.begun {
		c.begun = true
		e.firstNotes(c, conn, now)
	}
	v := verdict{look: Look{When: now, Conn: conn, Paths: e.pathsFor(c, now), Memory: c.memory}}
	v.look.Plan, v.memory = policy.Decide(conn, v.look.Paths, c.memory)
	v.changes = Changes(conn, v.look.Plan)
	return v
}

// carryOut does what a policy has said.
func (e *Engine) carryOut(ctx context.Context, c *connection, v verdict, now time.Time) {
	plan := v.look.Plan
	c.memory = v.memory
	e.keepNotes(v.look.Conn, v.look.Memory, v.memory, now)
	v.look.Outcomes = e.reconcile(ctx, c, v.changes, now)
	e.probe(ctx, c, plan.Probe, now)
	e.prod(c, plan.Prod || c.doubted(now), now)
	e.record(c, v.look)
	e.queue.schedule(c, now.Add(c.nextLook(plan)))
}

// nextLook is how long the connection may be left alone.
func (c *connection) nextLook(plan policy.Plan) time.Duration {
	d := lookCalm
	if c.quiet > 5 {
		d = lookIdle
	}
	inFlight := false
	for _, f := range c.subflows {
		inFlight = inFlight || f.obs.Last().Unacked > 0 || !f.established
	}
	switch {
	case c.urgent && inFlight:
		d = lookUrgent
	case inFlight || c.flowing():
		d = lookBusy
	default:
		c.urgent = false
	}
	if plan.Look > 0 {
		d = min(d, plan.Look)
	}
	return min(d, lookAgain)
}

// flowing reports whether data keeps coming: its end is to be noticed.
func (c *connection) flowing() bool {
	for _, f := range c.subflows {
		if f.obs.Arrival() >= flowRate && f.obs.Busy() {
			return true
		}
	}
	return false
}

// pathOf is pathOn for a subflow of which no interface is known.
func (e *Engine) pathOf(c *connection, local, remote netip.Addr) string {
	return e.pathOn(c, local, remote, 0)
}

// pathOn names the path of a subflow: by its local address on the client, by its
// remote one on the concentrator. Of several paths with one address, that of the
// device is meant; 0 is an interface that is not known.
func (e *Engine) pathOn(c *connection, local, remote netip.Addr, device int) string {
	if c.reg.Role == policy.Concentrator {
		return remote.Unmap().String()
	}
	found := ""
	for _, p := range e.paths {
		switch {
		case !p.Has(local.Unmap()):
		case device != 0 && p.Index == device:
			return p.Name
		case found == "":
			found = p.Name
		}
	}
	return cmp.Or(found, local.Unmap().String()) // else an address that no path has any more
}

// way returns the addresses of a subflow over p, if there are any: a local one
// for which the peer has one of the same family.
func (c *connection) way(p netpath.Path) (local netpath.Addr, remote netip.AddrPort, ok bool) {
	for _, a := range p.Addrs {
		if r, ok := c.remoteFor(a.Addr); ok {
			return a, r, true
		}
	}
	return netpath.Addr{}, netip.AddrPort{}, false
}

// decide keeps a decision for people.
func (e *Engine) decide(c *connection, a Action, path string, reason Reason, why string) {
	d := &Decision{When: time.Now(), Action: a, Path: path, Reason: reason, Why: why}
	if c != nil {
		d.Token, d.Destination, d.Mode, d.Rule = c.reg.Token.String(), c.reg.Destination, c.reg.Mode.Name, c.reg.Rule
		c.last = fmt.Sprintf("%s %s: %s", a, path, why)
	}
	e.decisions.add(*d)
	e.said = d
	if e.recorder != nil && !e.reconciling {
		e.recorder.Told(*d)
	}
	e.log.Debug("decision", "action", string(a), "path", path, "reason", why, "destination", d.Destination, "mode", d.Mode)
}
