package leg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock"
	"mpproxy/proxy"
	"mpproxy/proxy/socks"
)

// staleTime is how long the request on a kept leg may stay unacknowledged. By then the
// controller has moved it to a path that works, if there is one.
const staleTime = time.Second

// errStale: a kept leg led nowhere. It says nothing about the concentrator. errForgotten
// is an errStale: what was sent on the leg was not even acknowledged.
var (
	errStale     = errors.New("the leg is of no use any more")
	errForgotten = fmt.Errorf("%w: nobody acknowledges what is sent on it", errStale)
)

// Finished takes back a leg whose stream has ended; keep says that another one
// can follow. Otherwise the relay has closed it. A leg without MPTCP carries one stream:
// the next one may get more.
func (s *Session) Finished(l *Leg, keep bool) {
	if keep && !l.plain && !l.framed.Early() && l.framed.Next() == nil {
		l.alone.rest()
		s.idle.put(l)
		s.ahead.returned(l.key)
		return
	}
	l.Close()
}

// reopen asks for a stream on a leg that was kept, until the deadline. It returns nil,
// and no error, if there is none that works.
func (s *Session) reopen(ctx context.Context, deadline time.Time, key legKey, f *proxy.Flow) (*Leg, error) {
	failed := false
	for l := s.idle.take(key); l != nil; l = s.idle.take(key) {
		// Few legs have been closed by the concentrator meanwhile, and looking at each
		// costs a system call. After one that was closed the others are looked at: all
		// are closed when the concentrator starts anew.
		if !s.fit(l, f.How) || failed && !quiet(l.Conn) {
			l.Close()
			continue
		}
		l.begin(f)
		err := l.ask(ctx, earlier(ctx, deadline), f)
		if err == nil {
			s.health.ok()
			l.Reused, l.unused = true, false
			l.carries(f)
			return l, nil
		}
		l.abandon()
		if !errors.Is(err, errStale) {
			return nil, withCause(ctx, err)
		}
		s.log.Debug("a kept leg was of no use", "path", l.Path, "error", err)
		failed = true
		if errors.Is(err, errForgotten) {
			// A NAT that has forgotten one has forgotten all that waited as long: each
			// would cost another second.
			closeLegs(s.idle.takePath(l.Path))
		}
	}
	return nil, nil
}

// fit reports whether a new leg might begin on the same path.
func (s *Session) fit(l *Leg, c proxy.Choice) bool {
	cands, err := s.cfg.Paths.Order(c)
	return err == nil && fits(l, cands)
}

// fits reports whether a leg began where one of the candidates has new ones begin. None
// leaves that to the kernel's routing.
func fits(l *Leg, cands []Candidate) bool {
	return len(cands) == 0 || slices.ContainsFunc(cands, func(a Candidate) bool { return a.Path == l.Path && a.Fit })
}

// ask sends a request on a kept leg, with what the application has sent already if the
// concentrator takes that, and reads the answer, until the deadline.
func (l *Leg) ask(ctx context.Context, deadline time.Time, f *proxy.Flow) error {
	message := socks.MessageFor(f)
	if l.EarlySent = l.ready && len(f.Early) > 0 && len(f.Early) <= socks.EarlyLimit && socks.DataMayFollow(message); l.EarlySent {
		message = l.framed.Append(message, f.Early)
	}
	_ = l.Conn.SetDeadline(deadline)
	wake := func() { _ = l.Conn.SetDeadline(time.Unix(1, 0)) }
	stop := context.AfterFunc(ctx, wake)
	defer stop()
	impatience := startImpatience(l.Conn, wake)
	if _, err := l.below.Write(message); err != nil {
		impatience.end()
		return fmt.Errorf("%w: sending a request: %w", errStale, err)
	}
	err := l.readAnswer(true)
	stale := impatience.end()
	var refused *proxy.Failure
	switch {
	case err == nil && !stop():
		return context.Cause(ctx)
	case err == nil:
		return l.Conn.SetDeadline(time.Time{})
	case errors.As(err, &refused), ctx.Err() != nil:
		return err
	case errors.Is(err, os.ErrDeadlineExceeded) && !stale:
		return late(err)
	}
	if stale {
		return fmt.Errorf("%w: %w", errForgotten, err)
	}
	return fmt.Errorf("%w: %w", errStale, err)
}

// impatience wakes whoever waits on a kept leg that turns out to lead nowhere.
type impatience struct {
	timer *time.Timer
	done  chan struct{}
	stale bool // valid after done
}

func startImpatience(conn *mptcpsock.Conn, wake func()) *impatience {
	i := &impatience{done: make(chan struct{})}
	i.timer = time.AfterFunc(staleTime, func() {
		defer close(i.done)
		if i.stale = !arrived(conn); i.stale {
			wake()
		}
	})
	return i
}

// end ends the watch and reports whether it woke anybody. Nothing happens after
// it.
func (i *impatience) end() (stale bool) {
	if i.timer.Stop() {
		return false
	}
	<-i.done
	return i.stale
}

// quiet reports whether nothing has come on a connection since its last stream
// ended: what comes then can only be its end.
func quiet(conn *mptcpsock.Conn) bool {
	waiting := false
	err := control(conn, func(fd int) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}}, 0)
		waiting = n == 0 && err == nil
	})
	return err == nil && waiting
}

// arrived reports whether the peer has acknowledged all that was written.
func arrived(conn *mptcpsock.Conn) bool {
	left := 1
	err := control(conn, func(fd int) {
		if n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ); err == nil {
			left = n
		}
	})
	return err == nil && left == 0
}

func control(conn *mptcpsock.Conn, f func(fd int)) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}
