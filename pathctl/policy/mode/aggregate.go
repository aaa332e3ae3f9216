package mode

import (
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

// Aggregate has one subflow on every usable path, all in use. Metered paths are
// backups as long as there is an unmetered one that is trusted, and the guard
// sets aside what makes the connection slower than its best path alone.
var Aggregate = policy.Register(policy.Definition[GuardNumbers, GuardMemory]{
	Name: "aggregate", Traits: policy.Traits{Place: 1, SetsAside: true, BeginsAnywhere: true},
	Defaults: guardDefaults, Numbers: guardTable, Fits: guardFits,
	Want:  func(v *policy.View, n GuardNumbers, m *GuardMemory) { spread(guard{v, n, m}, reason.Reason{}) },
	Sends: func(v *policy.View, n GuardNumbers, m *GuardMemory) { guard{v, n, m}.watch() },
})

var (
	isMetered = reason.New("metered", "{path} is metered")
	isUsable  = reason.New("usable", "{path} is usable")
)

// spread uses every path. Where why is given, it is the reason of what is created.
func spread(v guard, why reason.Reason) {
	v.watch()
	for i := range v.Subs {
		if v.Subs[i].Dropped() || v.Subs[i].On == policy.Nowhere {
			continue
		}
		backup, is := v.spare(v.Subs[i].On)
		v.Keep(i, backup, is)
	}
	for k := range v.Paths {
		if backup, is := v.spare(k); why != (reason.Reason{}) {
			v.Add(k, backup, why)
		} else {
			v.Add(k, backup, is)
		}
	}
}

// spare reports whether a path is to be backup where all are in use, and what
// to say of it. Which subflows are established matters little: backups carry
// the data by themselves when nothing else does.
func (v guard) spare(path int) (bool, reason.Reason) {
	p := &v.Paths[path]
	if p.Metered && v.trustedUnmetered() {
		return true, reason.Reason{Kind: isMetered, Path: p.Name}
	}
	if n, _ := v.Note(p.Name); n.Until > v.Conn.Age && v.othersInUse(path) {
		v.LookIn(n.Until - v.Conn.Age)
		return true, reason.Reason{Kind: policy.ReasonSetAside, Path: p.Name, Took: n.Until - v.Conn.Age, Because: &n.Reason}
	}
	return false, reason.Reason{Kind: isUsable, Path: p.Name}
}

// trustedUnmetered reports whether an unmetered path is up and not on
// probation.
func (v guard) trustedUnmetered() bool {
	for k := range v.Paths {
		if p := &v.Paths[k]; !p.Metered && p.Up && v.Probation(p.Name) == 0 {
			return true
		}
	}
	return false
}

// othersInUse reports whether another path works and is neither metered beside
// an unmetered one nor on probation.
func (v guard) othersInUse(path int) bool {
	for k := range v.Paths {
		p := &v.Paths[k]
		if k != path && v.ReadyOn(k) != policy.Nowhere && v.Probation(p.Name) == 0 && !(p.Metered && v.trustedUnmetered()) {
			return true
		}
	}
	return false
}
