package leg

import (
	"slices"
	"strings"
	"sync"
	"time"

	"mpproxy/proxy"
	"mpproxy/proxy/socks"
)

// keepTime is how long the client keeps a leg that carries nothing: less than
// the concentrator does (restTime), and than NATs forget a connection in.
const keepTime = 15 * time.Second

// legKey says which streams a leg can carry: those that show the same user to
// the concentrator and are steered alike.
type legKey struct{ user, mode, paths string }

func keyOf(cred socks.Credentials, c proxy.Choice) legKey {
	return legKey{cred.User, c.Mode, strings.Join(c.Paths, ",")}
}

// pool holds the legs that wait for their next stream, the latest last. It is
// safe for concurrent use.
type pool struct {
	most int

	mu     sync.Mutex
	legs   []*Leg
	timer  *time.Timer // runs while there are legs
	closed bool
}

// put keeps a leg, instead of the oldest one where there are as many as may be.
func (k *pool) put(l *Leg) {
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
		if k.timer == nil {
			k.timer = time.AfterFunc(keepTime, k.expire)
		}
	}
	k.mu.Unlock()
	closeLegs(out)
}

// take returns the leg for key that was in use last, of those that are alone if there are
// such: its path is the one that is known best. It returns nil if there is none.
func (k *pool) take(key legKey) *Leg {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := -1
	for i, l := range slices.Backward(k.legs) {
		if l.key != key {
			continue
		}
		if at < 0 || l.alone.keeps() {
			at = i
		}
		if k.legs[at].alone.keeps() {
			break
		}
	}
	if at < 0 {
		return nil
	}
	l := k.legs[at]
	k.legs = slices.Delete(k.legs, at, at+1)
	return l
}

// expire closes the legs that have waited for long enough.
func (k *pool) expire() {
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
func (k *pool) close() {
	k.mu.Lock()
	out := k.legs
	k.legs, k.closed = nil, true
	if k.timer != nil {
		k.timer.Stop()
	}
	k.mu.Unlock()
	closeLegs(out)
}

// takePath takes all legs out that began on a path.
func (k *pool) takePath(path string) []*Leg {
	return k.takeWhere(func(l *Leg) bool { return l.Path == path })
}

// takeKey takes all legs for key out.
func (k *pool) takeKey(key legKey) []*Leg {
	return k.takeWhere(func(l *Leg) bool { return l.key == key })
}

func (k *pool) takeWhere(f func(*Leg) bool) (out []*Leg) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.legs = slices.DeleteFunc(k.legs, func(l *Leg) bool {
		is := f(l)
		if is {
			out = append(out, l)
		}
		return is
	})
	return out
}

// count returns how many legs for key there are of which f holds.
func (k *pool) count(key legKey, f func(*Leg) bool) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.legs {
		if l.key == key && f(l) {
			n++
		}
	}
	return n
}

func (k *pool) len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.legs)
}

func closeLegs(legs []*Leg) {
	for _, l := range legs {
		l.Close()
	}
}
