package proxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock"
)

// keepTime is how long the client keeps a leg that carries nothing: less than
// the concentrator does (restTime), and than NATs forget a connection in.
const keepTime = 15 * time.Second

// settleTime is how long the end of a stream may wait for the request of the next
// one. The destination, which has ended already, sees it that much later.
const settleTime = 10 * time.Millisecond

// settlePatience bounds sending it.
const settlePatience = time.Second

// legKey says which streams a leg can carry: those that show the same user to
// the concentrator and are steered alike.
type legKey struct{ user, mode, paths string }

func keyOf(cred credentials, c Choice) legKey {
	return legKey{cred.user, c.Mode, strings.Join(c.Paths, ",")}
}

// kept holds the legs that wait for their next stream, the latest last. It is
// safe for concurrent use.
type kept struct {
	most int

	mu       sync.Mutex
	legs     []*Leg
	timer    *time.Timer // runs while there are legs
	settling bool        // a call of settle is to come: there are legs that owe an end
	closed   bool
}

// put keeps a leg, instead of the oldest one where there are as many as may be.
func (k *kept) put(l *Leg) {
	l.idleSince = time.Now()
	k.mu.Lock()
	var out []*Leg
	if k.closed || k.most == 0 {
		out = []*Leg{l}
	} else {
		k.legs = append(k.legs, l)
		if over := len(k.legs) - k.most; over > 0 {
			out = slices.Clone(k.legs[:over])
			k.legs = slices.Delete(k.legs, 0, over)
		}
		k.keepTimer()
		if l.owes() && !k.settling {
			k.settling = true
			time.AfterFunc(settleTime, k.settle)
		}
	}
	k.mu.Unlock()
	closeLegs(out)
}

// keepTimer sees to it that legs expire. k.mu is held.
func (k *kept) keepTimer() {
	if k.timer == nil {
		k.timer = time.AfterFunc(keepTime, k.expire)
	}
}

// settle sends the ends that have waited for long enough. A leg is out of reach
// meanwhile: nobody else may write to it.
func (k *kept) settle() {
	for _, l := range k.takeOwing() {
		if l.settle() != nil {
			l.Close()
			continue
		}
		k.putBack(l)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.settling = slices.ContainsFunc(k.legs, (*Leg).owes); k.settling {
		time.AfterFunc(settleTime, k.settle)
	}
}

// takeOwing takes the legs whose end has waited for long enough.
func (k *kept) takeOwing() (due []*Leg) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.legs = slices.DeleteFunc(k.legs, func(l *Leg) bool {
		if !l.owes() || time.Since(l.idleSince) < settleTime {
			return false
		}
		due = append(due, l)
		return true
	})
	return due
}

// putBack puts a leg where it was, if its place is still free.
func (k *kept) putBack(l *Leg) {
	k.mu.Lock()
	free := !k.closed && len(k.legs) < k.most
	if free {
		k.keepTimer()
		at, _ := slices.BinarySearchFunc(k.legs, l, func(a, b *Leg) int { return a.idleSince.Compare(b.idleSince) })
		k.legs = slices.Insert(k.legs, at, l)
	}
	k.mu.Unlock()
	if !free {
		l.Close()
	}
}

// take returns the leg for key that was in use last: its path is the one that is
// known best. It returns nil if there is none.
func (k *kept) take(key legKey) *Leg {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, l := range slices.Backward(k.legs) {
		if l.key == key {
			k.legs = slices.Delete(k.legs, i, i+1)
			return l
		}
	}
	return nil
}

// expire closes the legs that have waited for long enough.
func (k *kept) expire() {
	k.mu.Lock()
	n := 0
	for n < len(k.legs) && time.Since(k.legs[n].idleSince) >= keepTime {
		n++
	}
	out := slices.Clone(k.legs[:n])
	k.legs = slices.Delete(k.legs, 0, n)
	k.timer = nil
	if len(k.legs) > 0 {
		k.timer = time.AfterFunc(keepTime-time.Since(k.legs[0].idleSince), k.expire)
	}
	k.mu.Unlock()
	closeLegs(out)
}

// close closes all legs, and each that is put from now on.
func (k *kept) close() {
	k.mu.Lock()
	out := k.legs
	k.legs, k.closed = nil, true
	if k.timer != nil {
		k.timer.Stop()
	}
	k.mu.Unlock()
	closeLegs(out)
}

func (k *kept) len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.legs)
}

// owes reports whether the end of the leg's last stream is still to be sent.
func (l *Leg) owes() bool { return l.framed != nil && l.framed.Owes() }

// settle sends it.
func (l *Leg) settle() error {
	if !l.owes() {
		return nil
	}
	_ = l.Conn.SetWriteDeadline(time.Now().Add(settlePatience))
	if err := l.framed.Settle(); err != nil {
		return err
	}
	return l.Conn.SetWriteDeadline(time.Time{})
}

func closeLegs(legs []*Leg) {
	for _, l := range legs {
		l.Close()
	}
}

// staleTime is how long the request on a kept leg may stay unacknowledged: the
// controller has moved it to a path that works by then, if there is one.
const staleTime = time.Second

// errStale: a kept leg led nowhere. It says nothing about the concentrator.
var errStale = errors.New("the leg is of no use any more")

// finished takes back a leg whose stream has ended; keep says that another one
// can follow. Otherwise the relay has closed it.
func (u *Upstream) finished(l *Leg, keep bool) {
	if keep && !l.framed.Early() && l.framed.Next() == nil {
		u.idle.put(l)
		return
	}
	l.Close()
}

// reopen asks for a stream on a leg that was kept, until the deadline. It returns nil,
// and no error, if there is none that works.
func (u *Upstream) reopen(ctx context.Context, deadline time.Time, key legKey, s Stream) (*Leg, error) {
	failed := false
	for l := u.idle.take(key); l != nil; l = u.idle.take(key) {
		// Looking at each leg would cost all for the few that have been closed: only
		// behind one that was, as all are when the concentrator starts anew.
		if !u.fit(l, s.Choice) || failed && !quiet(l.Conn) {
			l.Close()
			continue
		}
		err := l.ask(ctx, earlier(ctx, deadline), s.Destination)
		if err == nil {
			u.health.ok()
			l.Reused = true
			l.observed.next(s)
			return l, nil
		}
		_ = l.Conn.Close() // no TLS goodbye: see converse
		l.observed.end()
		if !errors.Is(err, errStale) {
			return nil, withCause(ctx, err)
		}
		u.log.Debug("a kept leg was of no use", "path", l.Path, "error", err)
		failed = true
	}
	return nil, nil
}

// fit reports whether a new leg might begin on the same path.
func (u *Upstream) fit(l *Leg, c Choice) bool {
	cands, err := u.candidates(c)
	if err != nil {
		return false
	}
	if !u.anywhere(c) {
		cands = cands[:min(len(cands), 1)]
	}
	return len(cands) == 0 || slices.ContainsFunc(cands, func(a Candidate) bool { return a.Path == l.Path && !a.Troubled })
}

// ask sends a request on a kept leg and reads the answer, until the deadline.
func (l *Leg) ask(ctx context.Context, deadline time.Time, to Destination) error {
	_ = l.Conn.SetDeadline(deadline)
	wake := func() { _ = l.Conn.SetDeadline(time.Unix(1, 0)) }
	stop := context.AfterFunc(ctx, wake)
	defer stop()
	impatience := startImpatience(l.Conn, wake)
	if _, err := l.framed.Between().Write(requestMessage(to)); err != nil {
		impatience.end()
		return fmt.Errorf("%w: sending a request: %w", errStale, err)
	}
	err := l.readAnswer(numericReplySize)
	stale := impatience.end()
	var refused *replyError
	switch {
	case err == nil && !stop():
		return context.Cause(ctx)
	case err == nil:
		return l.Conn.SetDeadline(time.Time{})
	case errors.As(err, &refused), ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded) && !stale:
		return err
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
		_, err := peek(fd)
		waiting = err == unix.EAGAIN
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
