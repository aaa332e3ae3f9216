package policy

import "fmt"

// aggregate: one subflow on every usable path, all in use. Metered paths are
// backups as long as there is an unmetered one that is trusted, and the guard
// sets aside what makes the connection slower than its best path alone.
func aggregate(v *view) {
	v.guard()
	for i := range v.subs {
		if v.subs[i].verdict == dropped || v.subs[i].path == nowhere {
			continue
		}
		backup, why := v.spare(v.subs[i].path)
		v.keep(i, backup, v.subs[i].Path, why)
	}
	for k := range v.paths {
		backup, why := v.spare(k)
		v.add(k, backup, v.paths[k].Name, why)
	}
}

// spare reports whether a path is to be backup where all are in use, and what
// to say of it. Which subflows are established matters little: backups carry
// the data by themselves when nothing else does.
func (v *view) spare(path int) (bool, string) {
	p := &v.paths[path]
	if p.Metered && v.trustedUnmetered() {
		return true, " is metered"
	}
	if n, _ := v.note(p.Name); n.Until > v.c.Age && v.othersInUse(path) {
		v.lookIn(n.Until - v.c.Age)
		return true, fmt.Sprintf(" is set aside for %s: %s", words(n.Until-v.c.Age), n.Why)
	}
	return false, " is usable"
}

// trustedUnmetered reports whether an unmetered path is up and not on
// probation.
func (v *view) trustedUnmetered() bool {
	for k := range v.paths {
		if p := &v.paths[k]; !p.Metered && p.Up && v.probation(p.Name) == 0 {
			return true
		}
	}
	return false
}

// othersInUse reports whether another path works and is neither metered beside
// an unmetered one nor on probation.
func (v *view) othersInUse(path int) bool {
	for k := range v.paths {
		p := &v.paths[k]
		if k != path && v.readyOn(k) != nowhere && v.probation(p.Name) == 0 && !(p.Metered && v.trustedUnmetered()) {
			return true
		}
	}
	return false
}
