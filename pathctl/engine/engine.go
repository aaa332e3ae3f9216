package engine

import (
	"cmp"
	"context"
	"log/slog"
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
	// MostSubflows is how many subflows a concentrator lets one connection have; 0:
	// DefaultMostSubflows.
	MostSubflows int
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
	mostSubflows   int

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
		events: cfg.Events, recorder: cfg.Recorder, leaveStrangers: cfg.LeaveStrangers, mostSubflows: cmp.Or(cfg.MostSubflows, DefaultMostSubflows), buffers: newBuffers(cfg.BufferMemory), made: cfg.Made,
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
