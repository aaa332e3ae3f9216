package pathctl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"golang.org/x/sync/errgroup"

	"mpproxy/internal/journal"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/subflowbpf"
)

// steering is the controller in user space with what it has taken from the
// host: the path manager, the kernel's events, the timeout events.
type steering struct {
	engine  *engine
	events  *mptcppm.Events
	watch   *subflowbpf.Watcher
	journal *journal.Journal
	found   bool // the path manager was in user space already
}

// eventsWanted leaves out that connections are created: nothing can be done
// before they are established, and waking up beside their first bytes makes them
// later.
func eventsWanted() *mptcppm.Config {
	return &mptcppm.Config{Without: []mptcppm.EventKind{mptcppm.EventCreated}}
}

// startSteering takes over. Nothing is left behind when it fails.
func startSteering(role policy.Role, k *kernel, announce []netip.Addr, log *slog.Logger) (_ *steering, err error) {
	s := &steering{journal: k.journal}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if s.events, err = mptcppm.DialEvents(eventsWanted()); err != nil {
		return s, fmt.Errorf("listening to the kernel's MPTCP events: %w", err)
	}
	if s.watch, err = subflowbpf.Open(subflowbpf.Config{TimeoutsOnly: true, Backlog: true}, log); err != nil {
		return s, fmt.Errorf("watching for timeouts: %w", err)
	}
	before, err := takePathManager(k.journal)
	if err != nil {
		return s, err
	}
	if s.found, err = foundInUserSpace(s.journal); err != nil {
		return s, err
	}
	log.Info("took over the path manager of this network namespace: mpproxy decides about subflows, and serves other programs' connections by the configured endpoints",
		"before", before, "timeouts", s.watch.Mechanism().String())
	s.engine = newEngine(role, k.client, s.events, s.watch, announce, log)
	if err := takeSendBuffer(k.journal); err != nil {
		log.Info("a slow path will hold up the others more than it has to", "error", err)
	} else {
		s.engine.wide = true
	}
	return s, nil
}

// steer starts steering if that is wanted and possible; nil means that the
// kernel steers.
func (k *kernel) steer(wanted bool, role policy.Role, announce []netip.Addr) *steering {
	if !wanted || k.client == nil {
		return nil
	}
	s, err := startSteering(role, k, announce, k.log)
	if err != nil {
		k.log.Warn("cannot be the path manager: leaving subflows to the kernel's own one, which knows neither modes nor rules (status says what to do)", "error", err)
		k.cannotSteer = err
		k.state.Store(&KernelStatus{CannotSteer: err})
		return nil
	}
	how := s.watch.Mechanism()
	st := KernelStatus{Active: true, UserSpace: true, Timeouts: how.String()}
	if how.Kind == subflowbpf.Polling {
		st.NoEBPF = how.Why
	}
	k.state.Store(&st)
	return s
}

func register(ctx context.Context, s *steering, reg Registration) {
	if s == nil {
		return
	}
	s.watch.Add(source{reg})
	if reg.Begins {
		s.engine.leave(ctx, s.engine.register(reg))
		return
	}
	s.engine.post(ctx, s.engine.register(reg))
}

// begun has the engine wait for the kernel to tell of a connection that begins. Whoever
// sent its first data is about to wait for the answer, and the engine takes its place
// at once; woken by the kernel alone, it often waits for its turn.
func begun(s *steering) {
	if s != nil {
		s.engine.wake()
	}
}

func describe(ctx context.Context, s *steering, token uapi.Token, d Description) {
	if s != nil {
		s.engine.post(ctx, s.engine.describe(token, d))
	}
}

func unregister(ctx context.Context, s *steering, token uapi.Token) {
	if s == nil {
		return
	}
	s.watch.Remove(token)
	s.engine.post(ctx, s.engine.unregister(token))
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

// run works until ctx is done.
func (s *steering) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.engine.run(ctx) })
	g.Go(func() error { return s.engine.receiveTimeouts(ctx) })
	return g.Wait()
}

// stop gives everything back.
func (s *steering) stop() error {
	var errs []error
	if s.engine != nil {
		errs = append(errs, returnSendBuffer(s.journal), returnPathManager(s.journal))
	}
	if s.watch != nil {
		errs = append(errs, s.watch.Close())
	}
	if s.events != nil {
		errs = append(errs, s.events.Close())
	}
	return errors.Join(errs...)
}

// ConnectionStatus is what the controller knows of a connection.
type ConnectionStatus struct {
	Last   string // the last decision, in words; empty: none yet
	backup map[subflowKey]bool
}

// IsBackup reports whether a subflow is flagged backup by either end.
func (s ConnectionStatus) IsBackup(local, remote netip.AddrPort) bool {
	return s.backup[keyOf(local, remote)]
}

// status reads what is known of all connections. It waits for the engine's
// goroutine.
func (s *steering) status(ctx context.Context) map[uapi.Token]ConnectionStatus {
	answer := make(chan map[uapi.Token]ConnectionStatus, 1)
	s.engine.postStatus(ctx, answer)
	select {
	case m := <-answer:
		return m
	case <-s.engine.ended:
		return nil
	case <-ctx.Done():
		return nil
	}
}
