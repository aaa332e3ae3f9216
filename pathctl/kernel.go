package pathctl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"mpproxy/internal/journal"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
)

// restoreTimeout bounds putting things back: the context of Run is done by
// then.
const restoreTimeout = 5 * time.Second

// limitsKey is the journal's entry for the limits.
const limitsKey = "mptcp.limits"

// savedLimits are the limits from before the first change, and what they were
// changed to: if somebody has changed them since, they are not put back.
type savedLimits struct {
	Before, Set mptcppm.Limits
}

// KernelStatus says what is registered with the in-kernel path manager.
type KernelStatus struct {
	Active    bool   // endpoints can be registered
	Endpoints int    // in the namespace, those of other programs included
	Problem   error  // why not active, or what could not be done
	UserSpace bool   // mpproxy itself is the path manager
	Timeouts  string // how timeouts are noticed; with UserSpace
	// EventGaps counts the times that events of the kernel were lost, each of which
	// had every connection read anew; with UserSpace.
	EventGaps uint64
	// NoEBPF says why timeouts are not noticed by eBPF, which is fastest; nil if
	// they are, or with the kernel's path manager.
	NoEBPF error
	// CannotSteer says why mpproxy is not the path manager although that was
	// wanted; nil otherwise.
	CannotSteer error
	Foreign     string // an endpoint that is not as wanted, and why; empty if all are
}

// kernel registers endpoints and limits with the in-kernel path manager, and
// puts both back. One goroutine uses it; status may be called from any.
type kernel struct {
	role    string
	firstID uapi.AddrID
	dir     string
	log     *slog.Logger

	client  *mptcppm.Client
	lock    *roleLock
	journal *journal.Journal
	saved   savedLimits
	// cannotSteer is set before anything is applied.
	cannotSteer error
	state       atomic.Pointer[KernelStatus]
	own         atomic.Pointer[ownership]
}

func newKernel(role string, firstID uapi.AddrID, dir string, log *slog.Logger) *kernel {
	k := &kernel{role: role, firstID: firstID, dir: dir, log: log}
	k.state.Store(&KernelStatus{})
	return k
}

// status adds what s, which may be nil, has counted.
func (k *kernel) status(s *steering) KernelStatus {
	st := *k.state.Load()
	if s != nil {
		st.EventGaps = s.engine.lost.Load()
	}
	return st
}

// open connects to the kernel and puts back what a crash left behind. Without
// the family or the capability the program goes on: status says so.
func (k *kernel) open(ctx context.Context) {
	client, err := mptcppm.Dial(nil)
	if err != nil {
		k.fail(err)
		return
	}
	// Before anything is touched: a second program of the same role, started by
	// mistake, would take the first one's endpoints for a crash's.
	k.lock, err = lockRole(k.role)
	if err == nil {
		k.journal, err = journal.Open(k.dir, k.role)
	}
	found := false
	if err == nil {
		found, err = k.journal.Pending(limitsKey, &k.saved)
	}
	var own ownership
	if err == nil {
		_, err = k.journal.Pending(endpointsKey, &own)
	}
	if err != nil {
		k.fail(errors.Join(err, client.Close()))
		k.lock.release()
		return
	}
	k.client = client
	k.own.Store(&own)
	if found {
		k.log.Warn("an earlier run ended without putting the MPTCP limits back: doing it now")
	}
	if err := errors.Join(returnPathManager(k.journal), returnSendBuffer(k.journal), k.dropEndpoints(ctx), k.restoreLimits(ctx)); err != nil && !errors.Is(err, mptcppm.ErrPermission) {
		k.log.Warn("cannot put back what an earlier run changed", "error", err)
	}
}

func (k *kernel) fail(err error) {
	k.log.Warn("subflows cannot be managed", "error", err)
	k.state.Store(&KernelStatus{Problem: err})
}

// apply makes endpoints and limits what they should be. Failures are logged
// when they are new, kept for status, and tried again the next time.
func (k *kernel) apply(ctx context.Context, want []mptcppm.Endpoint, limits func(mptcppm.Limits) mptcppm.Limits) {
	if k.client == nil {
		return
	}
	st := KernelStatus{CannotSteer: k.cannotSteer}
	have, err := k.client.Endpoints(ctx)
	if err == nil {
		ch := diff(have, want, k.owned(), k.firstID)
		if len(ch.notes) > 0 {
			st.Foreign = ch.notes[0]
		}
		st.Endpoints = len(have) - len(ch.remove) + len(ch.add)
		err = errors.Join(k.raise(ctx, limits), k.change(ctx, ch))
	}
	st.Active, st.Problem = err == nil, err
	if err != nil {
		st.Endpoints = len(have)
	}
	if old := k.state.Load(); err != nil && (old.Problem == nil || old.Problem.Error() != err.Error()) && ctx.Err() == nil {
		level := slog.LevelWarn
		if errors.Is(err, mptcppm.ErrPermission) && errors.Is(k.cannotSteer, mptcppm.ErrPermission) {
			level = slog.LevelDebug // it has been said
		}
		k.log.Log(ctx, level, "cannot register endpoints", "error", err)
	}
	k.state.Store(&st)
}

func (k *kernel) change(ctx context.Context, ch changes) error {
	if len(ch.add)+len(ch.remove) == 0 {
		return nil
	}
	var errs []error
	own := slices.Clone(k.owned())
	for _, e := range ch.remove {
		if err := k.client.DelEndpoint(ctx, e.ID); err != nil {
			errs = append(errs, err) // it stays ours, and is tried again the next time
		} else {
			own = own.without(e)
		}
		stays := slices.ContainsFunc(ch.add, func(a mptcppm.Endpoint) bool { return a.Addr == e.Addr })
		if e.Flags&mptcppm.FlagSubflow != 0 && !stays {
			// The first subflow of a connection has address id 0 and outlives
			// the endpoint: it would block the data that it carries.
			errs = append(errs, k.client.DelInitialAddr(ctx, e.Addr))
		}
		k.log.Debug("endpoint removed", "endpoint", e)
	}
	if err := k.record(own.with(ch.add)); err != nil {
		return errors.Join(append(errs, fmt.Errorf("not registering endpoints, because they could not be removed after a crash: %w", err))...)
	}
	for _, e := range ch.add {
		err := k.client.AddEndpoint(ctx, e)
		if err == nil {
			k.log.Debug("endpoint added", "endpoint", e)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// raise raises the limits and records first what they were.
func (k *kernel) raise(ctx context.Context, limits func(mptcppm.Limits) mptcppm.Limits) error {
	now, err := k.client.Limits(ctx)
	if err != nil {
		return err
	}
	want := limits(now)
	if want == now {
		return nil
	}
	before := now
	if k.saved.Set != (mptcppm.Limits{}) {
		before = k.saved.Before
	}
	if err := k.journal.Record(limitsKey, savedLimits{before, want}); err != nil {
		return fmt.Errorf("not raising the MPTCP limits, because they could not be put back after a crash: %w", err)
	}
	if err := k.client.SetLimits(ctx, want); err != nil {
		if k.saved.Set == (mptcppm.Limits{}) {
			err = errors.Join(err, k.journal.Done(limitsKey))
		}
		return err
	}
	k.saved = savedLimits{before, want}
	k.log.Info("MPTCP limits raised", "subflows", want.Subflows, "add_addr_accepted", want.AddAddrAccepted,
		"before", fmt.Sprintf("%d, %d", before.Subflows, before.AddAddrAccepted))
	return nil
}

// restore removes our endpoints and puts the limits back.
func (k *kernel) restore() error {
	if k.client == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), restoreTimeout)
	defer cancel()
	defer k.lock.release()
	err := errors.Join(k.dropEndpoints(ctx), k.restoreLimits(ctx))
	if errors.Is(err, mptcppm.ErrPermission) {
		err = nil // what may not be changed was not changed
	}
	return errors.Join(err, k.client.Close())
}

func (k *kernel) dropEndpoints(ctx context.Context) error {
	have, err := k.client.Endpoints(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range have {
		if k.owned().has(e) {
			errs = append(errs, k.client.DelEndpoint(ctx, e.ID))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return k.record(nil)
}

func (k *kernel) restoreLimits(ctx context.Context) error {
	if k.saved.Set == (mptcppm.Limits{}) {
		return nil
	}
	now, err := k.client.Limits(ctx)
	if err != nil {
		return err
	}
	if now == k.saved.Set {
		err = k.client.SetLimits(ctx, k.saved.Before)
	} else {
		k.log.Info("the MPTCP limits were changed by somebody else: leaving them", "subflows", now.Subflows)
	}
	if err != nil {
		return err
	}
	k.saved = savedLimits{}
	return k.journal.Done(limitsKey)
}
