package pathctl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"mpproxy/internal/hoststate"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/coexist"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/inkernel"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/subflowbpf"
)

// recheck is how often the kernel's state is compared with what is wanted although no
// path has changed: somebody may have flushed the endpoints.
const recheck = 30 * time.Second

// KernelStatus says who makes the subflows, and what stands in the way.
type KernelStatus struct {
	Active    bool   // endpoints can be registered
	Endpoints int    // in the namespace, those of other programs included
	Problem   error  // why not active, or what could not be done
	UserSpace bool   // mpproxy itself is the path manager
	Timeouts  string // how timeouts are noticed; with UserSpace
	// EventGaps counts the times that events of the kernel were lost, each of which
	// had every connection read anew; with UserSpace.
	EventGaps uint64
	// Ignored is what the kernel was seen to ignore of what new subflows are to be;
	// with UserSpace.
	Ignored engine.Ignored
	// NoEBPF says why timeouts are not noticed by eBPF, which is fastest; nil if
	// they are, or with the kernel's path manager.
	NoEBPF error
	// CannotSteer says why mpproxy is not the path manager although that was
	// wanted; nil otherwise.
	CannotSteer error
	Foreign     string // an endpoint that is not as wanted, and why; empty if all are
}

// controller is what client and concentrator have in common: what they take from
// their network namespace and give back.
type controller struct {
	steered
	name      string // of the role, for lock and journal
	role      policy.Role
	firstID   uapi.AddrID // of endpoints
	dir       string      // of the journal
	userSpace bool        // mpproxy is to be the path manager
	recorder  engine.Recorder
	most      int // subflows of a connection; 0: the engine's default
	log       *slog.Logger

	client  *mptcppm.Client // nil: subflows cannot be managed
	shared  *hoststate.Shared
	lock    *hoststate.Lock // of the role; nil: another program's, as are the next two
	journal *hoststate.Journal
	kernel  *inkernel.Manager
	status  atomic.Pointer[KernelStatus]
	changed atomic.Pointer[hoststate.Shared] // shared, for other goroutines
	others  atomic.Pointer[coexist.Watch]
}

// init prepares a controller that has its configuration.
func (c *controller) init(log *slog.Logger) {
	if c.log = log; log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.status.Store(&KernelStatus{})
}

// String names the task.
func (c *controller) String() string { return "controller" }

// Kernel returns who makes the subflows, and what is registered.
func (c *controller) Kernel() KernelStatus {
	st := *c.status.Load()
	if e := c.engine.Load(); e != nil {
		st.EventGaps, st.Ignored = e.EventGaps(), e.Ignored()
	}
	return st
}

// Notices returns what else on this host has a say about subflows.
func (c *controller) Notices() []coexist.Notice {
	if w := c.others.Load(); w != nil {
		return w.Notices()
	}
	return nil
}

// Changes returns what mpproxys of this network namespace have changed on the host.
func (c *controller) Changes() []hoststate.Change {
	s := c.changed.Load()
	if s == nil {
		return nil
	}
	all, err := s.Changes()
	if err != nil {
		c.log.Debug("cannot tell what is changed on this host", "error", err)
	}
	return append(all, c.inKernel()...)
}

// inKernel says what is registered with the kernel's path manager.
func (c *controller) inKernel() []hoststate.Change {
	st := c.status.Load()
	if st.UserSpace || !st.Active {
		return nil
	}
	now := fmt.Sprintf("%d in all", st.Endpoints)
	return []hoststate.Change{{Name: "MPTCP endpoints, and the limits that they need", Set: now, Now: now}}
}

// open connects to the kernel and puts back what a crash left behind. Without the
// netlink family or the capability the program goes on: status says so.
func (c *controller) open() {
	err := c.connect()
	if err != nil {
		c.log.Warn("subflows cannot be managed", "error", err)
		c.status.Store(&KernelStatus{Problem: err})
		return
	}
	if err = c.putBack(); err != nil && !errors.Is(err, mptcppm.ErrPermission) {
		c.log.Warn("cannot put back what an earlier run changed", "error", err)
	}
	if c.role != policy.Client {
		return // it opens no MPTCP connections
	}
	if _, _, err := c.shared.Take(hoststate.Blackhole); err != nil {
		c.log.Info("after some seconds without any path the kernel may switch MPTCP off for an hour", "error", err, "advice", "sysctl -w net.mptcp.blackhole_timeout=0")
	}
}

// putBack puts back what programs left that were killed.
func (c *controller) putBack() error {
	err := c.shared.Restore()
	if c.first() {
		err = errors.Join(err, c.shared.Adopt(c.journal, inkernel.Keys...), c.kernel.Restore())
	}
	return err
}

// connect takes what it takes to change anything. The lock comes before anything is
// touched: a second program of the same role would take the first one's endpoints for a
// crash's. It steers its own connections beside the first, where it may.
func (c *controller) connect() error {
	client, err := mptcppm.Dial(nil)
	if err != nil {
		return err
	}
	c.client = client
	if c.shared, err = hoststate.OpenShared(c.dir); err == nil {
		c.changed.Store(c.shared)
		err = c.beFirst()
	}
	if c.userSpace && errors.Is(err, hoststate.ErrInUse) {
		c.log.Info("another mpproxy of this role serves other programs' connections: this one manages the subflows of its own")
		return nil
	}
	if err != nil {
		err = errors.Join(err, c.shared.Close(), client.Close())
		c.client, c.shared = nil, nil
		c.changed.Store(nil)
	}
	return err
}

// beFirst takes the lock of the role, and what only its holder may touch.
func (c *controller) beFirst() (err error) {
	lock, err := hoststate.LockRole(c.dir, c.name)
	if err != nil {
		return err
	}
	j, err := hoststate.OpenJournal(c.dir, c.name)
	if err != nil {
		lock.Release()
		return err
	}
	k, err := inkernel.Open(c.client, j, c.firstID, c.log)
	if err != nil {
		lock.Release()
		return errors.Join(err, j.Close())
	}
	c.lock, c.journal, c.kernel = lock, j, k
	return nil
}

// first reports whether the program is the first of its role here.
func (c *controller) first() bool { return c.lock != nil }

// succeed takes the place of the first program of the role when that has ended.
func (c *controller) succeed() {
	err := c.beFirst()
	if errors.Is(err, hoststate.ErrInUse) {
		return
	}
	if err == nil {
		c.log.Info("the other mpproxy of this role has ended: this one serves other programs' connections")
		err = c.putBack()
	}
	if err != nil {
		c.log.Warn("cannot take the place of the mpproxy that has ended", "error", err)
	}
}

// steer makes mpproxy the path manager if that is wanted and possible; nil means that
// the kernel steers.
func (c *controller) steer(announce []netip.Addr) *steering {
	if !c.userSpace || c.client == nil {
		return nil
	}
	s, err := c.takeOver(announce)
	if err != nil {
		c.log.Warn("cannot be the path manager: leaving subflows to the kernel's own one, which knows neither modes nor rules (status says what to do)", "error", err)
		c.status.Store(&KernelStatus{CannotSteer: err})
		return nil
	}
	how := s.watch.Mechanism()
	st := KernelStatus{Active: true, UserSpace: true, Timeouts: how.String()}
	if how.Kind == subflowbpf.Polling {
		st.NoEBPF = how.Why
	}
	c.status.Store(&st)
	c.engine.Store(s.engine)
	return s
}

// bufferShare is the part of the host's memory for TCP that connections of ours may fill
// with what their peers have not acknowledged.
const bufferShare = 4

// takeOver opens an engine and takes the path manager for it.
func (c *controller) takeOver(announce []netip.Addr) (*steering, error) {
	s, err := openSteering(engine.Config{
		Role: c.role, Commands: c.client, Announce: announce, Recorder: c.recorder, LeaveStrangers: !c.first(), MostSubflows: c.most, BufferMemory: hoststate.TCPMemory() / bufferShare, Log: c.log,
	})
	if err != nil {
		return nil, err
	}
	s.shared, s.keeper = c.shared, &keeper{shared: c.shared, log: c.log}
	before, _, err := c.shared.Take(hoststate.PathManager)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	c.log.Info("took over the path manager of this network namespace: mpproxy decides about subflows, and serves other programs' connections by the configured endpoints",
		"before", before, "timeouts", s.watch.Mechanism().String())
	return s, nil
}

// watchOthers looks for others with a say about subflows until ctx is done. What only
// the caller knows is in cfg.
func (c *controller) watchOthers(ctx context.Context, s *steering, cfg coexist.WatchConfig) error {
	cfg.Steering = s != nil
	cfg.Scanner.Ours = c.owns
	if c.client != nil {
		cfg.Scanner.Endpoints, cfg.Scanner.EventsGroup = c.client.Endpoints, c.client.EventsGroup()
		cfg.Ours = func() bool {
			changed, err := c.shared.Changed(hoststate.PathManager)
			return err == nil && changed
		}
	}
	if s != nil {
		cfg.Switched = func() (int, time.Time) { q := s.keeper.state(); return q.times, q.due }
		// A second program that makes subflows for everybody else's connections would
		// make them twice.
		cfg.OtherDecides = func(ctx context.Context, other bool) {
			if !c.first() {
				c.succeed()
			}
			s.engine.LeaveStrangers(ctx, other || !c.first())
		}
	}
	w := coexist.NewWatch(cfg, c.log)
	c.others.Store(w)
	return w.Run(ctx)
}

// owns reports whether an endpoint is an mpproxy's.
func (c *controller) owns(e mptcppm.Endpoint) bool {
	if c.kernel == nil {
		return mptcppm.InRange(e.ID, mptcppm.FirstClientID) || mptcppm.InRange(e.ID, mptcppm.FirstConcentratorID)
	}
	return c.kernel.Owns(e)
}

// register makes the kernel's endpoints and limits what they should be. Failures are
// logged when they are new, and kept for status.
func (c *controller) register(ctx context.Context, want []mptcppm.Endpoint, limits func(mptcppm.Limits) mptcppm.Limits) {
	if c.kernel == nil {
		return
	}
	old := c.status.Load()
	got := c.kernel.Apply(ctx, want, limits)
	st := KernelStatus{
		Active: got.Problem == nil, Endpoints: got.Endpoints, Problem: got.Problem, Foreign: got.Foreign,
		CannotSteer: old.CannotSteer,
	}
	c.status.Store(&st)
	if got.Problem == nil || ctx.Err() != nil || old.Problem != nil && old.Problem.Error() == got.Problem.Error() {
		return
	}
	level := slog.LevelWarn
	if errors.Is(got.Problem, mptcppm.ErrPermission) && errors.Is(st.CannotSteer, mptcppm.ErrPermission) {
		level = slog.LevelDebug // it has been said
	}
	c.log.Log(ctx, level, "cannot register endpoints", "error", got.Problem)
}

// close gives back what open and steer took.
func (c *controller) close(s *steering) error {
	var err error
	if s != nil {
		err = s.close()
	}
	if c.client == nil {
		return err
	}
	if c.role == policy.Client {
		err = errors.Join(err, c.shared.Return(hoststate.Blackhole))
	}
	if c.first() {
		err = errors.Join(err, c.kernel.Restore(), c.journal.Close())
		c.lock.Release()
	}
	c.changed.Store(nil)
	return errors.Join(err, c.shared.Close(), c.client.Close())
}
