package policy

// ndiffports: n subflows on the same path, as the path manager of that name in
// the first Linux implementation had them.
func ndiffports(v *view) {
	v.fill(v.settle(), "one of several on the path")
}

// settle chooses the path for all subflows and clears the others. A path before
// it in preference gets one backup, to return to. It returns nowhere while no
// path works.
func (v *view) settle() int {
	home, why := v.byRank()
	if home != nowhere {
		v.choose(v.paths[home].Name)
	}
	carries := v.readyOn(home) != nowhere
	for i := range v.subs {
		s := &v.subs[i]
		switch {
		case s.verdict == dropped || s.path == nowhere || !carries:
		case s.path == home:
			v.keep(i, s.Backup && v.c.Mode == Refresh, why)
		case s.path < home:
			v.keep(i, true, v.m.Best, " carries the data")
		case s.path > home:
			v.dismiss(i)
		}
	}
	if !carries {
		return nowhere
	}
	for k := range v.paths[:home] {
		v.add(k, true, v.paths[k].Name, " is preferred to ", v.m.Best)
	}
	return home
}

// fill creates what is missing of the n subflows on a path. After a failure
// there it waits for the back-off that comes.
func (v *view) fill(home int, why string) {
	if home == nowhere || !v.open(home) {
		return
	}
	n := 0
	for i := range v.subs {
		s := &v.subs[i]
		switch {
		case s.path != home:
		case s.verdict == dropped && s.cause == Failed:
			return
		case s.verdict != dropped:
			n++
		}
	}
	for ; n < v.p.SubflowCount && v.room() > 0; n++ {
		v.create = append(v.create, Create{v.paths[home].Name, false, why})
	}
}
