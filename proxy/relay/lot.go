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

// Lot is where connections on which nothing moves wait without a goroutine: one
// goroutine waits for all of them, with an epoll descriptor of its own. Create it with
// NewLot, and close it when no connection is left. It is safe for concurrent use.
type Lot struct {
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

// lotBatch is how many connections are woken at a time.
const lotBatch = 64

// NewLot opens an empty lot. It fails when descriptors are short. Connections that may
// wait there and last for two seconds, or for a moment with one direction ended, get
// keepAlive for their plain TCP sockets, those on the loopback excepted.
func NewLot(keepAlive net.KeepAliveConfig) (*Lot, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("opening an epoll descriptor for idle connections: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("idle connections: %w", err), unix.Close(fd))
	}
	l := &Lot{
		keepAlive: keepAlive,
		epoll:     os.NewFile(uintptr(fd), "epoll"), fd: fd, after: parkAfter,
		done: make(chan struct{}), parked: make(map[uint64]*session),
	}
	go l.watch()
	return l, nil
}

// Close ends the lot, in which nothing may be parked any more.
func (l *Lot) Close() error {
	err := l.epoll.Close()
	<-l.done
	return err
}

// watch wakes connections as their sockets become readable, or fail.
func (l *Lot) watch() {
	defer close(l.done)
	raw, err := l.epoll.SyscallConn()
	if err != nil {
		return
	}
	events := make([]unix.EpollEvent, lotBatch)
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

func (l *Lot) find(id uint64) *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parked[id]
}

// add parks a session: it is woken as soon as one of its sockets has something to
// read, also when that came before.
func (l *Lot) add(s *session) error {
	l.mu.Lock()
	l.nextID++
	s.lotID = l.nextID
	l.parked[s.lotID] = s
	l.mu.Unlock()
	for _, e := range []*end{&s.a, &s.b} {
		if err := l.control(e, unix.EPOLL_CTL_ADD, s.lotID); err != nil {
			l.remove(s)
			return err
		}
	}
	return nil
}

// remove takes a session out, after which it is not woken by the lot any more.
func (l *Lot) remove(s *session) {
	l.mu.Lock()
	delete(l.parked, s.lotID)
	l.mu.Unlock()
	for _, e := range []*end{&s.a, &s.b} {
		_ = l.control(e, unix.EPOLL_CTL_DEL, s.lotID) // fails for one that was not added
	}
}

func (l *Lot) control(e *end, op int, id uint64) error {
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
