package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"mpproxy/mptcpsock"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/policy"
)

// ControllerConfig says how a Controller works. The zero value is good.
type ControllerConfig struct {
	// Paths chooses the interfaces that services use, the first match of each;
	// none: every interface with a global address and a default route.
	Paths []netpath.Selector
	// NoSourceRouting leaves the routing rules alone. By default what leaves
	// from a path's address leaves over that path while the Controller is open:
	// without it, subflows over other than the best default route rarely work.
	NoSourceRouting bool
	// StateDir keeps what has to be put back after a crash; empty is
	// /run/mpproxy for root, else mpproxy in $XDG_RUNTIME_DIR or the directory
	// for temporary files.
	StateDir string
	// Log gets what is worth knowing; nil is silent.
	Log *slog.Logger
}

// A Controller opens and closes subflows of connections in this process's
// network namespace. A program opens one, gives it to its Dialers and
// ListenConfigs, and closes it last.
//
// For that it makes user space the path manager of the network namespace, for
// connections that begin while it is open, and puts the kernel's back on Close,
// or, after a crash, when the next Controller is opened. Other programs'
// connections get the subflows that the kernel would have made for them. Where
// user space is the path manager already, mpproxy or another program has
// made it so, it works beside that.
//
// Methods may be called from several goroutines at once.
type Controller struct {
	app    *pathctl.Application
	cancel context.CancelFunc
	ended  chan struct{} // closed when both goroutines have returned
	log    *slog.Logger
	setter sharedSetter
	notices

	mu      sync.Mutex
	records map[uapi.Token]*record
	closed  bool
	failure error // of the engine; after ended
}

// OpenController takes the path manager over and begins to follow its events.
// ctx bounds that, not the Controller's life. errors.Is tells ErrNotPermitted,
// without CAP_NET_ADMIN in the network namespace, and ErrNotSupported, on Linux
// before 5.19.
func OpenController(ctx context.Context, cfg ControllerConfig) (*Controller, error) {
	if err := ctx.Err(); err != nil {
		return nil, controllerError(err)
	}
	if err := mptcpsock.ProbeUserspacePM(); errors.Is(err, ErrNotSupported) {
		return nil, controllerError(err)
	}
	if cfg.StateDir == "" {
		cfg.StateDir = defaultStateDir()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	app, err := pathctl.OpenApplication(pathctl.ApplicationConfig{
		Selectors: cfg.Paths, SourceRouting: !cfg.NoSourceRouting, StateDir: cfg.StateDir,
	}, cfg.Log)
	if err != nil {
		return nil, controllerError(err)
	}
	ctl := &Controller{
		app: app, records: make(map[uapi.Token]*record), ended: make(chan struct{}), log: cfg.Log,
		notices: notices{arrived: make(chan struct{}, 1)},
	}
	life, cancel := context.WithCancel(context.Background())
	ctl.cancel = cancel
	go ctl.run(life)
	if err := ctl.awaitReady(ctx); err != nil {
		return nil, controllerError(errors.Join(err, ctl.Close()))
	}
	return ctl, nil
}

func controllerError(err error) error {
	return &OpError{Op: "open controller", Err: translate(err)}
}

// awaitReady waits for the first look at the paths.
func (ctl *Controller) awaitReady(ctx context.Context) error {
	select {
	case <-ctl.app.Ready():
		return nil
	case <-ctl.ended:
		return ctl.failure
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the goroutine that the others belong to.
func (ctl *Controller) run(ctx context.Context) {
	defer close(ctl.ended)
	followed := make(chan struct{})
	go ctl.follow(ctx, followed)
	ctl.failure = ctl.app.Run(ctx)
	ctl.cancel()
	<-followed
	ctl.end()
}

// Close puts back what the Controller changed. Connections stay open, with the
// subflows that they have; what needs a Controller fails with ErrNoController
// from now on.
func (ctl *Controller) Close() error {
	ctl.mu.Lock()
	was := ctl.closed
	ctl.closed = true
	ctl.mu.Unlock()
	ctl.cancel()
	<-ctl.ended
	if was {
		return nil
	}
	return errors.Join(ctl.failure, ctl.setter.close())
}

// end tells everybody that there is no controller any more.
func (ctl *Controller) end() {
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	ctl.closed = true
	for _, r := range ctl.records {
		r.endWatches(ErrNoController)
		r.wake()
	}
}

// Paths returns the ways to the Internet that services use, best first.
func (ctl *Controller) Paths() []netpath.Path { return ctl.app.Paths() }

// Decisions returns what services decided from number n on, the number of the
// next decision, and a channel that is closed when it comes.
func (ctl *Controller) Decisions(n uint64) ([]engine.Decision, uint64, <-chan struct{}) {
	return ctl.app.Decisions(n)
}

// handOver bounds handing a connection to the engine when it is busy.
const handOver = 5 * time.Second

// Attach takes a connection under control that was dialled or accepted without
// a Controller, in the way of the zero Steering. A connection that began before
// the Controller was opened belongs to the kernel's path manager: it can be
// watched, and what would change it fails with ErrKernelManaged. errors.Is tells
// ErrNotMultipath, ErrNoController when ctl is closed, ErrInvalid when another Conn
// has the connection, and net.ErrClosed.
func (ctl *Controller) Attach(c *Conn) error { return ctl.attach(c, birth{late: true}) }

// birth is what a connection begins its life under control with.
type birth struct {
	Steering
	allowed []netip.AddrPort
	fate    bool
	late    bool // the events about its handshake may be over
}

// attach makes ctl the controller of c.
func (ctl *Controller) attach(c *Conn, b birth) error {
	fail := func(err error) error { return &OpError{Op: "attach", Err: translate(err)} }
	info, err := c.Info()
	if err != nil {
		return fail(err)
	}
	subflows, err := c.Subflows()
	if err != nil {
		return fail(err)
	}
	ctl.mu.Lock()
	if ctl.closed {
		ctl.mu.Unlock()
		return fail(ErrNoController)
	}
	r := ctl.records[info.Token]
	if r != nil && r.conn != c {
		ctl.mu.Unlock()
		return fail(fmt.Errorf("%w: a Conn has this connection already", ErrInvalid))
	}
	if r == nil {
		r = newRecord(info.Token, c)
		r.late = b.late
		ctl.records[info.Token] = r
	}
	r.allowed, r.fate = slices.Clone(b.allowed), b.fate
	for _, s := range subflows {
		r.ids[s.Pair()] = s.ID
	}
	if b.manual() || c.Accepted() {
		r.spread = slices.Clone(b.allowed)
	}
	ctl.mu.Unlock()
	a := &attachment{ctl: ctl, rec: r}
	c.attached.Store(a)
	ctx, cancel := context.WithTimeout(context.Background(), handOver)
	defer cancel()
	return operation{attachment: a, conn: c, name: "attach"}.steer(ctx, b.Steering)
}

// steer hands the connection to the engine with what is to become of it.
func (op operation) steer(ctx context.Context, s Steering) error {
	op.mu.Lock()
	defer op.mu.Unlock()
	if err := op.register(ctx, s); err != nil {
		return err
	}
	op.steering = s
	return nil
}

// register tells the engine how to steer the connection from now on.
func (op operation) register(ctx context.Context, s Steering) error {
	role := policy.Client
	if op.conn.Accepted() {
		role = policy.Concentrator
	}
	op.ctl.app.Register(ctx, engine.Registration{
		Token: op.rec.token, Role: role, Manual: s.manual(), Mode: &s.Mode, Paths: s.Paths,
		Description: engine.Description{Destination: op.conn.RemoteAddrPort().String()}, Reader: Reader(op.conn.Conn),
		Notify: func(n engine.Notice) { op.ctl.put(notice{n, op.rec}) },
	})
	return ctx.Err()
}

// detach forgets a connection that is being closed.
func (ctl *Controller) detach(r *record) {
	ctl.mu.Lock()
	r.conn = nil
	r.endWatches(nil)
	r.wake()
	if ctl.records[r.token] == r {
		delete(ctl.records, r.token)
	}
	ctl.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), handOver)
	defer cancel()
	ctl.app.Unregister(ctx, r.token)
}

// pathsOf names the paths that have these local addresses.
func (ctl *Controller) pathsOf(allowed func(netpath.Addr) bool) (names []string) {
	for _, p := range ctl.app.Paths() {
		if slices.ContainsFunc(p.Addrs, allowed) {
			names = append(names, p.Name)
		}
	}
	return names
}

// defaultStateDir is where programs of this user keep what must outlive a
// crash, though not a reboot.
func defaultStateDir() string {
	if os.Getuid() == 0 {
		return "/run/mpproxy"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "mpproxy")
	}
	return filepath.Join(os.TempDir(), "mpproxy-"+strconv.Itoa(os.Getuid()))
}
