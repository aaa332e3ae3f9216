package policy

import "fmt"

// aggregate: one subflow on every usable path, all in use. Metered paths are
// backups as long as there is an unmetered one, and the guard sets aside what
// makes the connection slower than its best path alone.
func aggregate(v *view) {
	v.guard()
	for i := range v.subs {
		if v.subs[i].verdict == dropped || v.dropTwin(i) || v.subs[i].path == nowhere {
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
// to say of it. It depends
// on what is configured, not on what works at the moment: backups carry the
// data by themselves when nothing else does.
func (v *view) spare(path int) (bool, string) {
	p := &v.paths[path]
	if p.Metered && v.anyUnmetered() {
		return true, " is metered"
	}
	if n, _ := v.note(p.Name); n.Until > v.c.Age && v.othersInUse(path) {
		v.lookIn(n.Until - v.c.Age)
		return true, fmt.Sprintf(" is set aside for %s: %s", words(n.Until-v.c.Age), n.Why)
	}
	return false, " is usable"
}

func (v *view) anyUnmetered() bool {
	for k := range v.paths {
		if !v.paths[k].Metered {
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
		if k != path && v.readyOn(k) != nowhere && v.probation(p.Name) == 0 && !(p.Metered && v.anyUnmetered()) {
			return true
		}
	}
	return false
}
