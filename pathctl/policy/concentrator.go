package policy

import "fmt"

// concentrator decides for the end that knows no paths: it creates nothing,
// destroys a subflow on which its own sending fails as long as another one is
// established, and flags backup what it has set aside or seen fail again and
// again. Other priorities are the client's, whose flag counts as much as ours.
func concentrator(v *view) {
	if m := v.c.Mode; m == Aggregate || m == Lazy {
		v.guard()
	}
	for i := range v.subs {
		if v.subs[i].verdict == dropped || !v.subs[i].Established {
			continue
		}
		s := &v.subs[i]
		left := v.probation(s.Path)
		if left > 0 && v.anotherCarries(i) {
			n, _ := v.note(s.Path)
			v.lookIn(left)
			v.keep(i, true, fmt.Sprintf("%s is set aside for %s: %s", s.label(), words(left), n.Why))
			continue
		}
		v.keep(i, false, s.Path, " may be used")
	}
}

// anotherCarries reports whether a subflow on another path works that neither
// the client holds as backup nor we hold anything against.
func (v *view) anotherCarries(i int) bool {
	for j := range v.subs {
		s := &v.subs[j]
		if j != i && s.ready() && !s.PeerBackup && s.Path != v.subs[i].Path && v.probation(s.Path) == 0 {
			return true
		}
	}
	return false
}
