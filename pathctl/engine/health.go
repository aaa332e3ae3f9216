package engine

import (
	"errors"
	"syscall"
	"time"
)

// failure is how a subflow ended, as far as it says when to try again: a reset
// is answered soon, an unreachable destination later, a timeout latest (SMAPP
// §4.1).
type failure uint8

const (
	failedReset failure = iota
	failedUnreachable
	failedTimeout
	failedPoor // it worked, but badly: loss, or it slowed the connection down
)

var failureNames = [...]string{"reset", "unreachable", "timeout", "poor"}

func (f failure) String() string { return failureNames[f] }

// failureOf classifies the error of a closed subflow.
func failureOf(errno error) failure {
	switch {
	case errors.Is(errno, syscall.ENETUNREACH), errors.Is(errno, syscall.EHOSTUNREACH), errors.Is(errno, syscall.ENETDOWN):
		return failedUnreachable
	case errors.Is(errno, syscall.ETIMEDOUT):
		return failedTimeout
	}
	return failedReset
}

// firstRetry is how long a path is left alone after its first failure, and
// lastRetry the longest after many: short enough to be back within ten seconds
// once the path works again. A path that works but badly is left alone longer
// each time.
var (
	firstRetry = [...]time.Duration{failedReset: 500 * time.Millisecond, failedUnreachable: time.Second, failedTimeout: 2 * time.Second, failedPoor: 3 * time.Second}
	lastRetry  = [...]time.Duration{failedReset: 8 * time.Second, failedUnreachable: 8 * time.Second, failedTimeout: 8 * time.Second, failedPoor: time.Minute}
)

// steady is how long a subflow must have lived for its path to be trusted
// again.
const steady = 10 * time.Second

// probeTime is how long a subflow that is being opened keeps others from trying
// the same path.
const probeTime = 3 * time.Second

// health is what is known of a path across connections: when one finds it
// dark, the others need not find out by themselves.
type health struct {
	failures   int
	last       failure
	failedAt   time.Time // when the last of them was counted
	until      time.Time // not before then
	probeUntil time.Time // somebody is trying
	upSince    time.Time // a subflow came up after the last failure
	rtt        time.Duration
	rttAt      time.Time // when it was last measured
	probing    probing
	proving    bool // a proof is under way
	proven     bool // one has succeeded since the last failure
	answers    bool // probes were answered since
}

// fail notes the failure at now of a subflow that began at since, and returns
// how long to wait. Connections find out one after the other that a path has
// failed: subflows from before the last failure that counted are no news.
func (h *health) fail(f failure, since, now time.Time) time.Duration {
	if now.Before(h.until) {
		return h.until.Sub(now) // one of many connections on the same path
	}
	switch {
	case !h.upSince.IsZero() && now.Sub(h.upSince) >= steady || h.last != f:
		h.failures = 1
		h.failedAt = now
	case since.Before(h.failedAt) && now.Sub(h.failedAt) < steady:
		// the same failure, seen by another one
	default:
		h.failures++
		h.failedAt = now
	}
	d := firstRetry[f] << min(h.failures-1, 10)
	d = min(d, lastRetry[f])
	h.last, h.until, h.upSince, h.probeUntil = f, now.Add(d), time.Time{}, time.Time{}
	h.proven, h.answers = false, false
	return d
}

// established notes that a subflow came up; it reports whether the path had
// been left alone until now.
func (h *health) established(now time.Time) (back bool) {
	back = h.upSince.IsZero() && h.failures > 0
	if h.upSince.IsZero() {
		h.upSince = now
	}
	h.until, h.probeUntil = time.Time{}, time.Time{}
	return back
}

// retry is how long the path is to be left alone.
func (h *health) retry(now time.Time) time.Duration {
	switch {
	case now.Before(h.until):
		return h.until.Sub(now)
	case h.failures > 0 && h.upSince.IsZero() && now.Before(h.probeUntil):
		return h.probeUntil.Sub(now)
	}
	return 0
}

// trying notes that a connection opens a subflow on the path.
func (h *health) trying(now time.Time) { h.probeUntil = now.Add(probeTime) }

// sample smooths round-trip times over connections and probes. What is old says
// little beside what is new.
func (h *health) sample(rtt time.Duration, now time.Time) {
	if rtt <= 0 {
		return
	}
	if h.rtt == 0 || now.Sub(h.rttAt) >= rttOld {
		h.rtt = rtt
	} else {
		h.rtt += (rtt - h.rtt) / 8
	}
	h.rttAt = now
}

// rttOld is when a smoothed round-trip time begins anew.
const rttOld = 500 * time.Millisecond
