package policy

// single: one subflow and no others, whatever it loses. Only when its path is
// down or gone, and the connection would be lost, is a successor made; the two
// never carry data side by side (Paasch's single-path mode).
func single(v *view) {
	best, why := v.byRank()
	if v.readyOn(best) != nowhere {
		v.choose(v.paths[best].Name)
		one := v.readyOn(best)
		for i := range v.subs {
			if i == one {
				v.keep(i, false, why)
			} else if v.subs[i].verdict != dropped {
				v.drop(i, Unneeded, v.m.Best+" carries the only subflow")
			}
		}
		return
	}
	v.rescue()
}
