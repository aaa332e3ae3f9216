package relay

import (
	"errors"
	"os"
	"time"
)

// A connection on which nothing moves gives up its goroutines: both pumps, which wait
// for their sources, are woken and return, and the lot waits in their place. Data that
// comes meanwhile to one of them calls that off.

// parkAt is when the connection is to be parked if nothing moves until then. s.mu is held.
func (s *session) parkAt() (at int64, ok bool) {
	if s.lot == nil || s.ended > 0 || s.reason != 0 || s.parked || s.parking.Load() {
		return 0, false
	}
	return max(s.counters.last.Load(), s.triedAt) + int64(s.lot.after), true
}

// tryPark asks both pumps to return, if they wait for their sources: one that waits for
// its destination may do so for long, and the other must not be stopped for that. s.mu is
// held.
func (s *session) tryPark(now int64) {
	s.triedAt = now
	s.parking.Store(true) // first: a pump that stops waiting looks at it then
	if !s.fwd.waiting.Load() || !s.rev.waiting.Load() {
		s.parking.Store(false)
		return
	}
	s.setReadDeadlines(past)
}

func (s *session) setReadDeadlines(t time.Time) {
	_ = s.a.stream.SetReadDeadline(t) // fails only on a closed connection
	_ = s.b.stream.SetReadDeadline(t)
}

// interrupted is for a pump whose wait has ended while the session was about to be
// parked, or with a deadline. It returns what is left of err, and whether the pump is to
// return.
func (s *session) interrupted(d *direction, err error) (left error, yield bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != 0 || s.lot == nil {
		return err, false
	}
	deadline := errors.Is(err, os.ErrDeadlineExceeded) // which only tryPark has set
	if deadline {
		err = nil
	}
	switch {
	case !s.parking.Load(): // called off meanwhile
		return err, false
	case deadline && d.holdsNothing():
		d.release()
		d.yielded = true
		return nil, true
	}
	s.callOff()
	return err, false
}

// holdsNothing reports whether all that was read from src has been delivered, so that
// its socket tells when there is more.
func (d *direction) holdsNothing() bool {
	return d.n == 0 && (d.src.rec == nil || d.src.rec.ahead == nil)
}

// callOff ends an attempt to park. s.mu is held.
func (s *session) callOff() {
	s.parking.Store(false)
	s.setReadDeadlines(time.Time{})
	for _, d := range []*direction{&s.fwd, &s.rev} {
		if d.yielded {
			d.yielded = false
			s.others.Add(1)
			go s.pumpBeside(d)
		}
	}
	s.rearm(stamp())
}

// yielded reports whether both pumps have returned in order to be parked.
func (s *session) yielded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fwd.yielded && s.rev.yielded && s.reason == 0
}

// park puts the session into the lot. It reports false when that is not possible, now
// or any more: the pumps are to go on.
func (s *session) park() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parking.Store(false)
	if s.reason == 0 {
		s.setReadDeadlines(time.Time{})
		if s.lot.add(s) == nil {
			s.parked = true
			return true
		}
		s.lot = nil // memory or watches are short; it works as well without
	}
	s.fwd.yielded, s.rev.yielded = false, false
	return false
}

// wake has a parked session go on.
func (s *session) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.parked {
		return
	}
	s.parked, s.fwd.yielded, s.rev.yielded = false, false, false
	s.lot.remove(s)
	s.triedAt = stamp()
	s.rearm(s.triedAt)
	go s.resume()
}

// resume is a new goroutine's: it takes the place of Run's caller.
func (s *session) resume() {
	if res, over := s.pump(); over {
		s.resumed(res)
	}
}
