package mode

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	. "mpproxy/pathctl/policy"
)

// world is a toy: links that can be slow, lossy or dark, one connection over
// them that sends as its app says, and a controller that asks Decide only when
// Look or an event says so, and does what it says. Time moves in steps.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	conn  Conn
	mem   Memory
	links []*link
	flows []*flow
	app   func(*world) uint64 // bytes that it writes in this step
	look  time.Duration       // when Decide is to be asked next; -1: when something happens
	event bool
	next  SubflowID

	log     []entry
	quiet   time.Duration // since bytes last reached the application
	silence time.Duration // the longest quiet since reset
	asked   int
}

const step = 10 * ms

type link struct {
	Path
	rtt, jitter time.Duration
	rate        uint64 // bytes/s
	loss        func(time.Duration) float64
	dark, gone  func(time.Duration) bool
	tight       func(time.Duration) bool // lets handshakes pass, and no data
	queue       func(time.Duration) time.Duration
	branches    int // a router spreads flows over so many, each with rate; 0 is each flow for itself
	deadBranch  int // counted from 1
	failures    int
	carried     uint64
	answerAt    time.Duration // of a probe; 0: none was sent
}

type flow struct {
	Subflow
	link       *link
	branch     int
	sent, lost int           // segments in this window
	acked      uint64        // bytes in this window
	window     time.Duration // when it began
	inFlight   uint64        // bytes that a dark link swallowed
	forgotten  bool          // by a box on the way
}

type entry struct {
	at   time.Duration
	text string
}

func between2(from, to time.Duration) func(time.Duration) bool {
	return func(t time.Duration) bool { return from <= t && t < to }
}

func newWorld(t *testing.T, mode Mode, app func(*world) uint64, links ...*link) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(1, 2)), conn: Conn{Mode: mode}, links: links, app: app, event: true, next: 1}
	for i, l := range links {
		l.Rank, l.Up, l.UpFor = i+1, true, time.Hour
		l.loss = orElse(l.loss, func(time.Duration) float64 { return 0 })
		l.dark = orElse(l.dark, func(time.Duration) bool { return false })
		l.tight = orElse(l.tight, func(time.Duration) bool { return false })
		l.gone = orElse(l.gone, func(time.Duration) bool { return false })
		l.queue = orElse(l.queue, func(time.Duration) time.Duration { return 0 })
	}
	f := w.open(links[0], false)
	f.Initial, f.Established, f.RTT, f.MinRTT = true, true, links[0].rtt, links[0].rtt
	return w
}

// alive reports whether a link lets the packets of a flow through.
func (w *world) alive(f *flow) bool {
	if f.Established && f.link.tight(w.conn.Age) {
		return false
	}
	return f.link.Up && !f.link.dark(w.conn.Age) && f.link.deadBranch != f.branch+1 && !f.forgotten
}

func orElse[T any](f, otherwise func(time.Duration) T) func(time.Duration) T {
	if f == nil {
		return otherwise
	}
	return f
}

func (w *world) open(l *link, backup bool) *flow {
	f := &flow{Subflow: Subflow{ID: w.next, Path: l.Name, Backup: backup, RTO: 200*ms + l.rtt}, link: l}
	if l.branches > 0 {
		f.branch = w.rng.IntN(l.branches)
	}
	w.next++
	w.flows = append(w.flows, f)
	return f
}

// run lets time pass until the connection has that age.
func (w *world) run(until time.Duration) {
	for ; w.conn.Age < until; w.conn.Age += step {
		w.moveLinks()
		w.moveFlows()
		w.traffic()
		if w.event || w.look >= 0 && w.conn.Age >= w.look {
			w.decide()
		}
	}
}

func (w *world) moveLinks() {
	for _, l := range w.links {
		up := !l.gone(w.conn.Age)
		w.event = w.event || up != l.Up || l.Retry > 0 && l.Retry <= step
		if l.UpFor += step; up != l.Up {
			l.UpFor = 0
		}
		l.Up, l.Retry = up, max(0, l.Retry-step)
		if l.answerAt > 0 && w.conn.Age >= l.answerAt {
			w.event = w.event || w.conn.Age < l.answerAt+step
			l.Heard = w.conn.Age - l.answerAt + step
		}
	}
}

func (w *world) moveFlows() {
	now := w.conn.Age
	for _, f := range w.flows {
		f.Age += step
		f.Quiet = f.Age // nothing comes from the other end
		rtt := f.link.rtt + f.link.queue(now) + time.Duration((2*w.rng.Float64()-1)*float64(f.link.jitter))
		alive := w.alive(f)
		if !f.Established {
			// SYN at 0, 1, 3 and 7 s
			rtt = f.link.rtt + f.link.queue(now)
			for _, syn := range []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second} {
				if f.Age >= syn+rtt && f.Age < syn+rtt+step && alive && w.rng.Float64() > 2*f.link.loss(now) {
					f.Established, f.Age, f.RTT, f.MinRTT, w.event = true, 0, rtt, rtt, true
					break
				}
			}
			continue
		}
		if f.Age == 10*time.Second {
			f.link.failures = 0
		}
		if alive && f.Busy {
			d := rtt - f.RTT
			f.RTT += d / 8
			f.RTTVar += (max(d, -d) - f.RTTVar) / 4
			f.MinRTT = min(f.MinRTT, rtt)
		}
		if f.inFlight > 0 {
			w.timer(f, alive)
		}
		w.closeWindow(f)
		if f.Fresh, f.FreshLoss = f.sent, 0; f.sent > 0 {
			f.FreshLoss = float64(f.lost) / float64(f.sent)
		}
	}
}

// timer retransmits what a link swallowed.
func (w *world) timer(f *flow, alive bool) {
	f.Stalled += step
	if f.Timeouts == 0 {
		f.RTO = f.RTT + max(200*ms, 4*f.RTTVar)
	}
	if f.Stalled < f.RTO*time.Duration(1<<f.Timeouts)/time.Duration(max(1, f.Timeouts)) {
		return
	}
	w.event = true
	if alive && w.rng.Float64() >= f.link.loss(w.conn.Age) {
		w.deliver(f, f.inFlight)
		f.inFlight, f.Stalled, f.Timeouts, f.Unacked = 0, 0, 0, 0
		return
	}
	f.Timeouts++
	f.RTO *= 2
}

func (w *world) closeWindow(f *flow) {
	const window = 500 * ms
	if w.conn.Age-f.window < window {
		return
	}
	before, known := f.LossRate, f.LossKnown
	f.LossKnown, f.LossRate = f.sent >= 50, 0
	if f.sent > 0 {
		f.LossRate = float64(f.lost) / float64(f.sent)
	}
	f.LossFloor, f.FloorKnown = min(before, f.LossRate), known && f.LossKnown
	f.Delivery = uint64(float64(f.acked) / window.Seconds())
	f.Pacing = f.Delivery + f.Delivery/4
	f.Busy = f.sent > 0 || f.inFlight > 0
	if !f.Busy {
		f.Unacked = 0
	}
	f.sent, f.lost, f.acked, f.window = 0, 0, 0, w.conn.Age
}

// traffic spreads what the application wrote over the subflows in use.
func (w *world) traffic() {
	w.conn.Pending += w.app(w)
	use := w.inUse()
	var got uint64
	for _, f := range use {
		if f.Established {
			got += w.transmit(f, sharers(f, use))
		}
	}
	w.conn.Sent += got
	stuck := slices.ContainsFunc(w.flows, func(f *flow) bool { return f.inFlight > 0 })
	if w.quiet += step; got > 0 && !stuck || w.conn.Pending == 0 && !stuck {
		w.quiet = 0
	}
	w.silence = max(w.silence, w.quiet)
}

// inUse is the kernel's choice: backups only when nothing else is established.
func (w *world) inUse() (use []*flow) {
	for _, backup := range []bool{false, true} {
		for _, f := range w.flows {
			if f.Established && f.Backup == backup && f.Timeouts == 0 {
				use = append(use, f)
			}
		}
		if use != nil {
			break
		}
	}
	return use
}

// sharers is how many flows in use take the way of f.
func sharers(f *flow, use []*flow) (n int) {
	if f.link.branches == 0 {
		return 1
	}
	for _, o := range use {
		if o.Established && o.link == f.link && o.branch == f.branch {
			n++
		}
	}
	return n
}

func (w *world) transmit(f *flow, sharers int) uint64 {
	const segment = 1400
	room := uint64(float64(f.link.rate)*step.Seconds()) / uint64(sharers)
	n := min(room, w.conn.Pending)
	if n == 0 {
		return 0
	}
	segments := int(n+segment-1) / segment
	f.sent += segments
	f.Busy = true
	if !w.alive(f) {
		if f.Stalled == 0 {
			f.Unacked = segments
		} else {
			f.Unacked = min(f.Unacked+segments, 40)
		}
		taken := min(n, 60_000-min(f.inFlight, 60_000))
		f.inFlight += taken
		w.conn.Pending -= taken
		return 0
	}
	f.Unacked = segments // on their way
	lost := 0
	for range segments {
		if w.rng.Float64() < f.link.loss(w.conn.Age) {
			lost++
		}
	}
	f.lost += lost
	if lost == segments && f.inFlight == 0 { // nothing follows: the timer must help
		f.inFlight, f.Unacked = n, segments
		w.conn.Pending -= n
		return 0
	}
	if f.inFlight > 0 { // what follows is acknowledged selectively, and repairs it
		n0 := f.inFlight
		f.inFlight, f.Stalled, f.Timeouts, f.Unacked = 0, 0, 0, 0
		w.deliver(f, n0)
	}
	good := n - n*uint64(lost)/uint64(segments)
	w.conn.Pending -= good
	f.acked += good
	f.Sent += good
	f.link.carried += good
	return good
}

func (w *world) deliver(f *flow, n uint64) {
	w.conn.Sent += n
	f.acked += n
	f.Sent += n
	f.link.carried += n
	w.quiet = 0
}

func (w *world) decide() {
	c := w.conn
	c.Subflows = nil
	for _, f := range w.flows {
		c.Subflows = append(c.Subflows, f.Subflow)
	}
	var paths []Path
	for _, l := range w.links {
		paths = append(paths, l.Path)
	}
	plan, m := Decide(c, paths, w.mem)
	if bad := violations(c, paths, plan); bad != nil {
		w.t.Fatalf("at %v: %v", c.Age, bad)
	}
	w.mem, w.event, w.look = m, false, -1
	w.asked++
	if plan.Look > 0 {
		w.look = c.Age + plan.Look
	}
	w.execute(plan)
}

func (w *world) execute(plan Plan) {
	for _, d := range plan.Drop {
		i := slices.IndexFunc(w.flows, func(f *flow) bool { return f.ID == d.ID })
		f := w.flows[i]
		w.conn.Pending += f.inFlight // sent again on another one
		w.flows = slices.Delete(w.flows, i, i+1)
		w.note("drop %s %v: %s", d.Path, d.Cause, d.Reason)
		if d.Cause == Failed {
			f.link.Retry = min(4*time.Second, time.Second<<f.link.failures)
			f.link.failures++
		}
		w.event = true
	}
	for _, k := range plan.Keep {
		f := w.flows[slices.IndexFunc(w.flows, func(f *flow) bool { return f.ID == k.ID })]
		if f.Backup != k.Backup {
			w.note("%s backup %v: %s", f.Path, k.Backup, k.Reason)
		}
		f.Backup = k.Backup
	}
	for _, name := range plan.Probe {
		l := w.links[slices.IndexFunc(w.links, func(l *link) bool { return l.Name == name })]
		if l.Up && !l.dark(w.conn.Age) && w.conn.Age >= l.answerAt {
			l.answerAt = w.conn.Age + l.rtt
		}
	}
	for _, c := range plan.Create {
		i := slices.IndexFunc(w.links, func(l *link) bool { return l.Name == c.Path })
		w.open(w.links[i], c.Backup)
		w.note("create %s backup %v: %s", c.Path, c.Backup, c.Reason)
	}
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, entry{w.conn.Age, fmt.Sprintf(format, args...)})
}

// when returns the first entry from an age on that begins with text, or -1.
func (w *world) when(text string, from time.Duration) time.Duration {
	for _, e := range w.log {
		if e.at >= from && strings.HasPrefix(e.text, text) {
			return e.at
		}
	}
	return -1
}

func (w *world) count(text string) (n int) {
	for _, e := range w.log {
		if strings.HasPrefix(e.text, text) {
			n++
		}
	}
	return n
}

// check fails with the decisions that led there.
func (w *world) check(ok bool, format string, args ...any) {
	w.t.Helper()
	if ok {
		return
	}
	for _, e := range w.log[:min(len(w.log), 40)] {
		w.t.Logf("%8v %s", e.at, e.text)
	}
	w.t.Errorf(format, args...)
}
