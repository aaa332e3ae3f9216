package inkernel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"mpproxy/internal/hoststate"
	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/mptcppm"
)

// restoreTimeout bounds putting things back: the context of the controller is done by
// then.
const restoreTimeout = 5 * time.Second

// limitsKey is the journal's entry for the limits.
const limitsKey = "mptcp.limits"

// savedLimits are the limits from before the first change, and what they were
// changed to: if somebody has changed them since, they are not put back.
type savedLimits struct {
	Before, Set mptcppm.Limits
}

// Status says what is registered.
type Status struct {
	Endpoints int    // in the namespace, those of other programs included
	Problem   error  // what could not be done; nil: all is as wanted
	Foreign   string // an endpoint that is not as wanted, and why; empty if all are
}

// Manager registers endpoints and limits with the in-kernel path manager, and puts
// both back. One goroutine uses it; Owns may be called from any.
type Manager struct {
	firstID uapi.AddrID
	log     *slog.Logger
	client  *mptcppm.Client
	journal *hoststate.Journal
	saved   savedLimits
	own     atomic.Pointer[ownership]
}

// Open reads from the journal what an earlier run left registered. Ids of endpoints
// count from firstID. Restore puts back what is found.
func Open(client *mptcppm.Client, j *hoststate.Journal, firstID uapi.AddrID, log *slog.Logger) (*Manager, error) {
	k := &Manager{firstID: firstID, log: log, client: client, journal: j}
	found, err := j.Pending(limitsKey, &k.saved)
	if err != nil {
		return nil, err
	}
	var own ownership
	if _, err := j.Pending(endpointsKey, &own); err != nil {
		return nil, err
	}
	k.own.Store(&own)
	if found {
		log.Warn("an earlier run ended without putting the MPTCP limits back: doing it now")
	}
	return k, nil
}

// Owns reports whether an endpoint is ours, or that of an mpproxy of the other role,
// which its range tells well enough for what is only said.
func (k *Manager) Owns(e mptcppm.Endpoint) bool {
	other := mptcppm.FirstClientID
	if k.firstID == mptcppm.FirstClientID {
		other = mptcppm.FirstConcentratorID
	}
	return k.owned().has(e) || mptcppm.InRange(e.ID, other)
}

// Apply makes endpoints and limits what they should be. What could not be done is
// tried again the next time.
func (k *Manager) Apply(ctx context.Context, want []mptcppm.Endpoint, limits func(mptcppm.Limits) mptcppm.Limits) (st Status) {
	have, err := k.client.Endpoints(ctx)
	if err != nil {
		st.Problem = err
		return st
	}
	ch := diff(have, want, k.owned(), k.firstID)
	if len(ch.notes) > 0 {
		st.Foreign = ch.notes[0]
	}
	st.Endpoints = len(have) - len(ch.remove) + len(ch.add)
	if st.Problem = errors.Join(k.raise(ctx, limits), k.change(ctx, ch)); st.Problem != nil {
		st.Endpoints = len(have)
	}
	return st
}

func (k *Manager) change(ctx context.Context, ch changes) error {
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
func (k *Manager) raise(ctx context.Context, limits func(mptcppm.Limits) mptcppm.Limits) error {
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

// Restore removes our endpoints and puts the limits back. What may not be changed was
// not changed: a lack of rights is no error.
func (k *Manager) Restore() error {
	ctx, cancel := context.WithTimeout(context.Background(), restoreTimeout)
	defer cancel()
	err := errors.Join(k.dropEndpoints(ctx), k.restoreLimits(ctx))
	if errors.Is(err, mptcppm.ErrPermission) {
		return nil
	}
	return err
}

func (k *Manager) dropEndpoints(ctx context.Context) error {
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

func (k *Manager) restoreLimits(ctx context.Context) error {
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
