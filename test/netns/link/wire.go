package link

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readBatch bounds the frames read between two looks at the clock.
const readBatch = 64

// orders is what the owner of a link wants from one direction.
type orders struct {
	params Params
	down   bool
}

// wire moves the frames of one direction from one port to the other. Its
// goroutine owns the pipe; the rest of the program leaves orders and reads
// counters.
type wire struct {
	name     string
	from, to *port
	pipes    []*pipe // one, or one for each branch
	salt     uint32  // of the hash that chooses a branch
	states   *states // of the middlebox, shared by both directions
	wakeFD   int
	orders   atomic.Pointer[orders]
	closing  atomic.Bool
	finished sync.WaitGroup
	start    time.Time

	count     Counters // owned by the goroutine, published below
	published struct {
		sync.Mutex
		Counters
		branches []uint64
		err      error
	}
}

func newWire(name string, from, to *port, p Params, branches []Params, frameSize int, seed uint64, d Direction) (*wire, error) {
	wakeFD, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("link: eventfd: %w", err)
	}
	w := &wire{name: name, from: from, to: to, wakeFD: wakeFD, start: time.Now(), salt: saltOf(seed, d)}
	if len(branches) == 0 {
		branches = []Params{p}
	}
	for i, b := range branches {
		w.pipes = append(w.pipes, newPipe(b, frameSize, seed+uint64(i)<<32, d))
	}
	w.orders.Store(&orders{params: p})
	return w, nil
}

func (w *wire) run() {
	addProcessors(1)
	w.finished.Go(w.loop)
}

// order replaces the orders and wakes the goroutine.
func (w *wire) order(o orders) {
	w.orders.Store(&o)
	w.wake()
}

func (w *wire) wake() {
	one := [8]byte{1}
	_, _ = unix.Write(w.wakeFD, one[:]) // full means a wake-up is pending already
}

// close ends the goroutine and waits for it. The ports stay open.
func (w *wire) close() {
	w.closing.Store(true)
	w.wake()
	w.finished.Wait()
	addProcessors(-1)
	unix.Close(w.wakeFD)
}

func (w *wire) counters() (Counters, error) {
	w.published.Lock()
	defer w.published.Unlock()
	return w.published.Counters, w.published.err
}

func (w *wire) publish(err error) {
	w.count.Lost, w.count.QueueDrops, w.count.QueueBytes, w.count.MaxQueueBytes = 0, 0, 0, 0
	w.count.Latest, w.count.Late = 0, 0
	for _, p := range w.pipes {
		w.count.Lost += p.lost
		w.count.QueueDrops += p.queueDrops
		w.count.QueueBytes += uint64(p.queued)
		w.count.MaxQueueBytes = max(w.count.MaxQueueBytes, uint64(p.maxQueued))
		w.count.Latest = max(w.count.Latest, p.latest)
		w.count.Late += p.late
	}
	w.published.Lock()
	w.published.Counters, w.published.err = w.count, err
	w.published.branches = w.published.branches[:0]
	for _, p := range w.pipes {
		w.published.branches = append(w.published.branches, p.delivered)
	}
	w.published.Unlock()
}

// loop delivers what is due, reads what was sent and sleeps until either the
// next frame falls due or the next one is sent.
func (w *wire) loop() {
	// A thread of our own, never given back: it sleeps in ppoll, and its timer
	// slack and priority are changed.
	runtime.LockOSThread()
	tuneThread(w.name)
	current := w.orders.Load()
	for !w.closing.Load() {
		now := time.Since(w.start)
		if o := w.orders.Load(); o != current {
			if len(w.pipes) == 1 { // branches stay as they are
				w.pipes[0].set(now, o.params)
			}
			current = o
		}
		for _, p := range w.pipes {
			w.deliver(p, now, current.down)
		}
		more, err := w.collect(current.down)
		w.publish(err)
		if err != nil {
			return
		}
		if !more {
			w.sleep()
		}
	}
}

// tuneThread lets timers of this thread fire on time (the default slack is
// 50 µs) and, where that is allowed, lets it run before busy programs: it
// stands for hardware. Its name shows in top -H.
func tuneThread(name string) {
	if b, err := unix.ByteSliceFromString(name); err == nil {
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&b[0])), 0, 0, 0)
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -10)
}

func (w *wire) deliver(p *pipe, now time.Duration, down bool) {
	for {
		buf, ok := p.pop(now)
		if !ok {
			return
		}
		switch {
		case down:
			w.count.DownDrops++
		case w.write(buf):
			w.count.Delivered++
			w.count.DeliveredBytes += uint64(len(buf))
			p.delivered += uint64(len(buf))
		default:
			w.count.Rejected++
		}
		p.recycle(buf)
	}
}

func (w *wire) write(buf []byte) bool {
	for {
		_, err := unix.Write(w.to.fd, buf)
		if err != unix.EINTR {
			return err == nil
		}
	}
}

// reply writes a frame back to where frames come from.
func (w *wire) reply(frame []byte) {
	if frame != nil {
		_, _ = unix.Write(w.from.fd, frame) // lost, as frames may be
	}
}

// collect reads up to readBatch frames into the pipe; more says that there may
// be others.
func (w *wire) collect(down bool) (more bool, err error) {
	for range readBatch {
		buf := w.pipes[0].buffer() // all are of one size
		n, err := unix.Read(w.from.fd, buf)
		if err != nil || n == 0 {
			w.pipes[0].recycle(buf)
			switch {
			case err == nil, errors.Is(err, unix.EAGAIN):
				return false, nil
			case errors.Is(err, unix.EINTR):
				continue
			case errors.Is(err, unix.ENETDOWN): // packet socket: the interface went down
				return false, nil
			}
			return false, fmt.Errorf("link: %s: read from the interface (deleted?): %w", w.name, err)
		}
		w.count.Offered++
		w.count.OfferedBytes += uint64(n)
		if down {
			w.count.DownDrops++
			w.pipes[0].recycle(buf)
			continue
		}
		if ok, reset := w.states.pass(buf[:n], time.Now()); !ok {
			w.count.Rejected++
			w.pipes[0].recycle(buf)
			w.reply(reset)
			continue
		}
		w.branch(buf[:n]).push(time.Since(w.start), buf[:n])
	}
	return true, nil
}

// next returns the time of the next event of any branch.
func (w *wire) next() (at time.Duration, ok bool) {
	for _, p := range w.pipes {
		if t, some := p.next(); some && (!ok || t < at) {
			at, ok = t, true
		}
	}
	return at, ok
}

// sleep waits for a frame, for orders or for the next frame to fall due.
func (w *wire) sleep() {
	fds := [2]unix.PollFd{
		{Fd: int32(w.from.fd), Events: unix.POLLIN},
		{Fd: int32(w.wakeFD), Events: unix.POLLIN},
	}
	var timeout *unix.Timespec
	if at, ok := w.next(); ok {
		left := max(at-time.Since(w.start), 0)
		ts := unix.NsecToTimespec(int64(left))
		timeout = &ts
	}
	// EINTR (the runtime's preemption signal) is one more turn of the loop.
	if n, err := unix.Ppoll(fds[:], timeout, nil); err == nil && n > 0 && fds[1].Revents != 0 {
		var drain [8]byte
		_, _ = unix.Read(w.wakeFD, drain[:])
	}
}
