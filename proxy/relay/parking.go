package relay

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Parking is where connections on which nothing moves wait without a goroutine: one
// goroutine waits for all of them, with an epoll descriptor of its own. Create it with
// NewParking, and close it when no connection is left. It is safe for concurrent use.
type Parking struct {
	keepAlive net.KeepAliveConfig
	epoll     *os.File // nested in the runtime's own: a goroutine that waits holds no thread
	fd        int      // of epoll, which Fd would make blocking
	after     time.Duration
	done      chan struct{}

	mu     sync.Mutex
	nextID uint64
	parked map[uint64]*session
}

// parkAfter is how long nothing has to move before a connection is parked. What comes
// next waits for two new goroutines then, some 30 µs.
const parkAfter = 2 * time.Second

// wakeBatch is how many connections are woken at a time.
const wakeBatch = 64

// NewParking opens an empty Parking. It fails when descriptors are short. Connections that may
// wait there and last for two seconds, or for a moment with one direction ended, get
// keepAlive for their plain TCP sockets, those on the loopback excepted. A peer that has
// ended its data is asked at keepAlive's interval whether it is there, on the loopback too.
func NewParking(keepAlive net.KeepAliveConfig) (*Parking, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("opening an epoll descriptor for idle connections: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("idle connections: %w", err), unix.Close(fd))
	}
	l := &Parking{
		keepAlive: keepAlive,
		epoll:     os.NewFile(uintptr(fd), "epoll"), fd: fd, after: parkAfter,
		done: make(chan struct{}), parked: make(map[uint64]*session),
	}
	go l.watch()
	return l, nil
}

// Close ends the Parking. No connection may be parked there any more.
func (l *Parking) Close() error {
	err := l.epoll.Close()
	<-l.done
	return err
}

// watch wakes connections as their sockets become readable, or fail.
func (l *Parking) watch() {
	defer close(l.done)
	raw, err := l.epoll.SyscallConn()
	if err != nil {
		return
	}
	events := make([]unix.EpollEvent, wakeBatch)
	for {
		var n int
		err := raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events, 0) // EINTR: n is -1, and there is more to come
			return n != 0
		})
		if err != nil {
			return // closed
		}
		for _, e := range events[:max(n, 0)] {
			if s := l.find(idOf(e)); s != nil {
				s.wake()
			}
		}
	}
}

func (l *Parking) find(id uint64) *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parked[id]
}

// add parks a session: it is woken as soon as one of its sockets has something to
// read, also when that came before.
func (l *Parking) add(s *session) error {
	l.mu.Lock()
	l.nextID++
	s.placeID = l.nextID
	l.parked[s.placeID] = s
	l.mu.Unlock()
	for _, e := range []*end{&s.a, &s.b} {
		if err := l.control(e, unix.EPOLL_CTL_ADD, s.placeID); err != nil {
			l.remove(s)
			return err
		}
	}
	return nil
}

// remove takes a session out, after which it is not woken from there any more.
func (l *Parking) remove(s *session) {
	l.mu.Lock()
	delete(l.parked, s.placeID)
	l.mu.Unlock()
	for _, e := range []*end{&s.a, &s.b} {
		_ = l.control(e, unix.EPOLL_CTL_DEL, s.placeID) // fails for one that was not added
	}
}

func (l *Parking) control(e *end, op int, id uint64) error {
	var err error
	cerr := e.raw.Control(func(fd uintptr) {
		// Errors and the end of the connection are always reported.
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(id), Pad: int32(id >> 32)}
		err = os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.fd, op, int(fd), &event))
	})
	return errors.Join(cerr, err)
}

// idOf is what add put into an event.
func idOf(e unix.EpollEvent) uint64 { return uint64(uint32(e.Pad))<<32 | uint64(uint32(e.Fd)) }

// A connection on which nothing moves gives up its goroutines: both pumps, which wait
// for their sources, are woken and return, and Parking waits in their place. Data that
// comes meanwhile to one of them calls that off.

// parkAt is when the connection is to be parked if nothing moves until then. s.mu is held.
func (s *session) parkAt() (at int64, ok bool) {
	if s.place == nil || s.ended > 0 || s.reason != 0 || s.parked || s.parking.Load() {
		return 0, false
	}
	return max(s.counters.last.Load(), s.triedAt) + int64(s.place.after), true
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
	if s.reason != 0 || s.place == nil {
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

// park hands the session to Parking. It reports false when that is not possible, now
// or any more: the pumps are to go on.
func (s *session) park() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parking.Store(false)
	if s.reason == 0 {
		s.setReadDeadlines(time.Time{})
		if s.place.add(s) == nil {
			s.parked = true
			return true
		}
		s.place = nil // memory or watches are short; it works as well without
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
	s.place.remove(s)
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
