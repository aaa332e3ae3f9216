package pathctl

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"

	"mpproxy/internal/hoststate"
	"mpproxy/mptcpsock/subdiag"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/subflowbpf"
)

// steering is an engine with what it has taken from the host: the path manager, the
// kernel's events, the timeout events.
type steering struct {
	engine *engine.Engine
	events *mptcppm.Events
	watch  *subflowbpf.Watcher
	diag   *subdiag.Conn
	shared *hoststate.Shared // nil: the path manager was not taken
	keeper *keeper           // nil: nobody takes it again
}

// openSteering opens the sources of events and makes an engine of cfg. Nothing of the
// host is changed. Nothing is left when it fails.
func openSteering(cfg engine.Config) (_ *steering, err error) {
	s := &steering{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	// That connections are created is left out: nothing can be done before they are
	// established, and waking up beside their first bytes makes them later.
	if s.events, err = mptcppm.DialEvents(&mptcppm.Config{Without: []mptcppm.EventKind{mptcppm.EventCreated}}); err != nil {
		return nil, fmt.Errorf("listening to the kernel's MPTCP events: %w", err)
	}
	if s.watch, err = subflowbpf.Open(subflowbpf.Config{TimeoutsOnly: true, Backlog: true}, cfg.Log); err != nil {
		return nil, fmt.Errorf("watching for timeouts: %w", err)
	}
	if s.watch.Mechanism().Kind == subflowbpf.Polling {
		cfg.BufferMemory = 0 // nothing would bound what a subflow holds
	}
	if s.diag, err = subdiag.Open(); err != nil {
		return nil, fmt.Errorf("asking for single subflows: %w", err)
	}
	cfg.Events, cfg.Watch, cfg.Made = s.events, s.watch, s.made
	s.engine = engine.New(cfg)
	return s, nil
}

// made reads what the kernel made of a subflow.
func (s *steering) made(ctx context.Context, local, remote netip.AddrPort) (engine.Made, error) {
	r, err := s.diag.Read(ctx, local, remote)
	if err == nil && !r.Subflow {
		err = errors.New("the kernel does not tell what kind of socket it is")
	}
	return engine.Made{Backup: r.Backup, Device: r.Device}, err
}

// close gives everything back.
func (s *steering) close() error {
	var errs []error
	if s.shared != nil {
		errs = append(errs, s.shared.Return(hoststate.PathManager))
	}
	if s.watch != nil {
		errs = append(errs, s.watch.Close())
	}
	if s.diag != nil {
		errs = append(errs, s.diag.Close())
	}
	if s.events != nil {
		errs = append(errs, s.events.Close())
	}
	return errors.Join(errs...)
}

// steered passes on to the engine, once there is one, what the data path tells and
// asks. Where the kernel steers there never is: then nothing happens.
type steered struct{ engine atomic.Pointer[engine.Engine] }

// Register takes a connection under control, or changes how.
func (s *steered) Register(ctx context.Context, reg engine.Registration) {
	if e := s.engine.Load(); e != nil {
		e.Register(ctx, reg)
	}
}

// Describe says what a connection carries from now on, and which paths it may use; nil: all.
func (s *steered) Describe(ctx context.Context, token uapi.Token, d engine.Description, paths []string) {
	if e := s.engine.Load(); e != nil {
		e.Describe(ctx, token, d, paths)
	}
}

// Unregister ends what Register began.
func (s *steered) Unregister(ctx context.Context, token uapi.Token) {
	if e := s.engine.Load(); e != nil {
		e.Unregister(ctx, token)
	}
}

// Connections returns what the controller knows of the connections; nil where the
// kernel steers.
func (s *steered) Connections(ctx context.Context) map[uapi.Token]engine.ConnectionStatus {
	if e := s.engine.Load(); e != nil {
		return e.Connections(ctx)
	}
	return nil
}

// Decisions returns the decisions from number n on, the number of the next one, and a
// channel that is closed when it comes; nil where the kernel steers.
func (s *steered) Decisions(n uint64) ([]engine.Decision, uint64, <-chan struct{}) {
	if e := s.engine.Load(); e != nil {
		return e.Decisions(n)
	}
	return nil, 0, nil
}

// Snapshot returns what there is to be counted and measured; false where the kernel
// steers, or when the controller does not answer before ctx ends.
func (s *steered) Snapshot(ctx context.Context) (engine.Snapshot, bool) {
	if e := s.engine.Load(); e != nil {
		return e.Snapshot(ctx)
	}
	return engine.Snapshot{}, false
}

// PathState returns what is believed about a path; nothing where the kernel steers.
func (s *steered) PathState(path string) pathstate.State {
	if e := s.engine.Load(); e != nil {
		return e.PathState(path)
	}
	return pathstate.State{}
}
