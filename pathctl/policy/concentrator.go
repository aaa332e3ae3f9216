package policy

import "mpproxy/pathctl/reason"

// concentrator decides for the end that knows no paths: it creates nothing,
// destroys a subflow on which its own sending fails as long as another one is
// established, and flags backup what it has set aside or seen fail again and
// again. Other priorities are the client's, whose flag counts as much as ours.
func (v *View) concentrator() {
	v.mode.sends(v)
	for i := range v.Subs {
		if v.Subs[i].verdict == dropped || !v.Subs[i].Established {
			continue
		}
		s := &v.Subs[i]
		left := v.Probation(s.Path)
		if left > 0 && v.anotherCarries(i) {
			n, _ := v.Note(s.Path)
			v.LookIn(left)
			v.Keep(i, true, reason.Reason{Kind: ReasonSetAside, Path: s.Label(), Took: left, Because: &n.Reason})
			continue
		}
		v.Keep(i, false, reason.Reason{Kind: reasonMayBeUsed, Path: s.Path})
	}
}

// anotherCarries reports whether a subflow on another path works that neither
// the client holds as backup nor we hold anything against.
func (v *View) anotherCarries(i int) bool {
	for j := range v.Subs {
		s := &v.Subs[j]
		if j != i && s.Ready() && !s.PeerBackup && s.Path != v.Subs[i].Path && v.Probation(s.Path) == 0 {
			return true
		}
	}
	return false
}
