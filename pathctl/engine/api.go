package engine

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
	_ "mpproxy/pathctl/policy/mode" // so that the modes are known
	"mpproxy/pathctl/subflowbpf"
)

// Run works until ctx is done. It must be called once.
func (e *Engine) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.loop(ctx) })
	if e.watch != nil {
		g.Go(func() error { return e.receiveTimeouts(ctx) })
	}
	return g.Wait()
}

// Register takes a connection under control, or changes how.
func (e *Engine) Register(ctx context.Context, reg Registration) {
	if e.watch != nil {
		_ = e.watch.Add(source{reg}) // without it this connection's timeouts are noticed by looking
	}
	e.post(ctx, e.register(reg))
}

// Describe says what a connection carries from now on, and which paths it may use; nil: all.
func (e *Engine) Describe(ctx context.Context, token uapi.Token, d Description, paths []string) {
	e.post(ctx, e.describe(token, d, paths))
}

// Unregister ends what Register began.
func (e *Engine) Unregister(ctx context.Context, token uapi.Token) {
	if e.watch != nil {
		_ = e.watch.Remove(token)
	}
	e.post(ctx, e.unregister(token))
}

// Handle changes the subflows of a connection that was registered.
func (e *Engine) Handle(token uapi.Token) Handle { return Handle{e, token} }

// SetPaths takes a new snapshot of the client's paths.
func (e *Engine) SetPaths(ctx context.Context, paths []netpath.Path) {
	e.post(ctx, e.setPaths(paths))
}

// Woke brings everything up to date after the machine has slept for that long.
func (e *Engine) Woke(ctx context.Context, asleep time.Duration) { e.post(ctx, e.woke(asleep)) }

// LeaveStrangers says whether another controller serves other programs' connections.
func (e *Engine) LeaveStrangers(ctx context.Context, leave bool) {
	e.post(ctx, func(time.Time) { e.leaveStrangers = leave })
}

// Decisions returns the decisions from number n on, the number of the next one, and
// a channel that is closed when it comes.
func (e *Engine) Decisions(n uint64) ([]Decision, uint64, <-chan struct{}) {
	return e.decisions.since(n)
}

// EventGaps counts the times that events of the kernel were lost, each of which had
// every connection read anew.
func (e *Engine) EventGaps() uint64 { return e.lost.Load() }

// ConnectionStatus is what the engine knows of a connection.
type ConnectionStatus struct {
	Last   string // the last decision, in words; empty: none yet
	backup map[subflowKey]bool
	paths  map[subflowKey]string
}

// PathOf returns the path of a subflow, empty when it is not known.
func (s ConnectionStatus) PathOf(local, remote netip.AddrPort) string {
	return s.paths[keyOf(local, remote)]
}

// IsBackup reports whether a subflow is flagged backup by either end.
func (s ConnectionStatus) IsBackup(local, remote netip.AddrPort) bool {
	return s.backup[keyOf(local, remote)]
}

// Connections returns what is known of all connections of the data path. It waits for
// the engine's goroutine; nil means that there was no answer before ctx ended.
func (e *Engine) Connections(ctx context.Context) map[uapi.Token]ConnectionStatus {
	m, _ := ask(ctx, e, func(time.Time) map[uapi.Token]ConnectionStatus { return e.connections() })
	return m
}

func (e *Engine) connections() map[uapi.Token]ConnectionStatus {
	m := make(map[uapi.Token]ConnectionStatus, len(e.conns))
	for token, c := range e.conns {
		if !c.ours {
			continue
		}
		st := ConnectionStatus{Last: c.last, backup: make(map[subflowKey]bool)}
		for _, f := range c.subflows {
			st.backup[f.key()] = f.backup || f.peerBackup
			if c.reg.Role == policy.Client && e.hasPath(f.path) {
				if st.paths == nil {
					st.paths = make(map[subflowKey]string)
				}
				st.paths[f.key()] = f.path
			}
		}
		m[token] = st
	}
	return m
}

// Snapshot returns what there is to be counted and measured; false when the engine
// does not answer before ctx ends.
func (e *Engine) Snapshot(ctx context.Context) (Snapshot, bool) { return ask(ctx, e, e.snapshot) }

// ask has the engine's goroutine compute an answer; false when it does not.
func ask[T any](ctx context.Context, e *Engine, f func(now time.Time) T) (answer T, ok bool) {
	c := make(chan T, 1)
	e.post(ctx, func(now time.Time) { c <- f(now) })
	select {
	case answer = <-c:
		return answer, true
	case <-e.ended:
	case <-ctx.Done():
	}
	return answer, false
}

// source shows a connection to subflowbpf.
type source struct{ reg Registration }

func (s source) Token() uapi.Token { return s.reg.Token }

func (s source) Subflows() ([]subflowbpf.Subflow, error) {
	r, err := s.reg.Reader.Read()
	if err != nil {
		return nil, err
	}
	out := make([]subflowbpf.Subflow, 0, len(r.Subflows))
	for _, f := range r.Subflows {
		out = append(out, subflowbpf.Subflow{Local: f.Local, Remote: f.Remote, TCP: f.TCP})
	}
	return out, nil
}

// Snapshot is what there is to be counted and measured of a controller that
// steers.
type Snapshot struct {
	Subflows            map[SubflowKind]int // established, of the data path's connections
	Paths               map[string]pathstate.State
	Decisions           map[DecisionKind]uint64 // since the start
	LostEvents          uint64                  // times that events of the kernel were lost
	Looks               uint64                  // at connections
	LookTime            time.Duration           // of the controller's goroutine, for all of them
	Connections, Others int                     // under control; of other programs, while they are served
}

// SubflowKind is what subflows are counted by. Path is empty on a concentrator,
// whose paths are its clients' addresses.
type SubflowKind struct {
	Path   string
	Backup bool // flagged so by either end
}

// lookTimer adds up what looking costs.
type lookTimer struct{ n, nanos atomic.Uint64 }

func (t *lookTimer) count(since time.Time) {
	t.n.Add(1)
	t.nanos.Add(uint64(time.Since(since)))
}

func (e *Engine) snapshot(time.Time) Snapshot {
	out := Snapshot{
		Subflows: make(map[SubflowKind]int), Paths: make(map[string]pathstate.State, len(e.paths)),
		Decisions: e.decisions.count(), LostEvents: e.lost.Load(),
		Looks: e.looks.n.Load(), LookTime: time.Duration(e.looks.nanos.Load()),
	}
	for _, p := range e.paths {
		out.Paths[p.Name] = *e.stateOf(p.Name)
	}
	for _, c := range e.conns {
		if !c.ours {
			out.Others++
			continue
		}
		out.Connections++
		for _, f := range c.subflows {
			if f.established {
				out.Subflows[e.kindOf(f)]++
			}
		}
	}
	return out
}

func (e *Engine) kindOf(f *subflow) SubflowKind {
	k := SubflowKind{Backup: f.backup || f.peerBackup}
	if e.role == policy.Client && e.hasPath(f.path) {
		k.Path = f.path
	}
	return k
}

// Registration is a connection of the data path that the controller takes
// care of. The token joins it with the kernel's events.
type Registration struct {
	Token uapi.Token
	Role  policy.Role
	Mode  *policy.Spec // shared by many, and never changed; nil only where Manual is set
	Description
	Paths []string // the only paths that it may use; nil: all
	// Manual leaves its subflows to the program that it belongs to: Mode means
	// nothing.
	Manual bool
	Reader Reader
	// Device is the index of the interface that its first subflow is bound to; 0: none
	// that is known.
	Device int
	// Notify is told what happens to the connection; nil: nobody is. The engine's
	// goroutine calls it, which waits until it returns.
	Notify func(Notice)
}

// Description says to people what a connection carries. Nothing is decided by it,
// and it may change: one stream may follow another.
type Description struct {
	Destination string
	User        string
	Rule        string // what the rule is called that held; empty: none did
}

// Reader reads a connection's sockets. The owner of the connection hands it
// over; calls come from the controller's goroutine.
type Reader interface {
	// Read returns the state now, or an error when there is no connection any
	// more.
	Read() (Reading, error)
}

// Bounder is a Reader that can also bound what a connection holds.
type Bounder interface {
	// BoundUnsent makes the connection take more data only while it holds fewer
	// bytes that no subflow has got yet; 0 lifts the bound. It fails where the
	// kernel has no such bound, or the program set its own.
	BoundUnsent(bytes int) error
	// SetSendBuffer fixes how much the connection may hold unacknowledged, in bytes.
	// Its subflows may hold as much each. It fails where the kernel grants less.
	SetSendBuffer(bytes int) error
}

// Prodder is a Reader that can also have the kernel ask the peer for a sign of life on
// each subflow.
type Prodder interface {
	// Prod has it ask after so long without one; 0 is as long as at first. It fails
	// where the kernel's MPTCP cannot be told.
	Prod(after time.Duration) error
}

// Ender is a Reader that can also end the connection: its peer has, and no packet told.
type Ender interface {
	// End makes whoever uses the connection get an error. It does not block.
	End() error
}

// Reading is the state of a connection at one moment.
type Reading struct {
	Info     uapi.Info
	Subflows []SubflowReading
}

// SubflowReading is the state of one subflow; IPv4 addresses are unmapped.
type SubflowReading struct {
	Local, Remote netip.AddrPort
	TCP           uapi.TCPInfo
}
