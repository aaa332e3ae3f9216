package policy

import "fmt"

// streaming: a block every period (SMAPP §4.3). A path is added when half-way
// through less than half a block is acknowledged, and a subflow whose RTO
// passes its threshold is closed. While all goes well there is no second
// subflow.
func streaming(v *view) {
	late, why := v.blockLate()
	if late || !v.anyRegular() {
		late = !v.promote(why) && late
	}
	if k := v.nextPath(); late && k != nowhere && v.readyBut(nowhere) {
		v.add(k, false, why)
	}
	for k := range v.paths { // what was closed comes back as a reserve
		name := v.paths[k].Name
		if _, failed := v.note(name); failed && v.probation(name) == 0 {
			v.add(k, true, name, " in reserve for a late block")
		}
	}
}

// promote puts the preferred reserve to use.
func (v *view) promote(why string) bool {
	for k := range v.paths {
		if i := v.readyOn(k); i != nowhere && v.subs[i].Backup {
			v.keep(i, false, why)
			return true
		}
	}
	return false
}

// anyRegular reports whether a subflow works that we do not hold as backup.
func (v *view) anyRegular() bool {
	for i := range v.subs {
		if s := &v.subs[i]; s.ready() && !s.Backup {
			return true
		}
	}
	return false
}

// blockLate follows the blocks, in whichever direction they go, and reports
// once a block that it is late.
func (v *view) blockLate() (bool, string) {
	m, c := &v.m, v.c
	if m.Active && c.Age-m.At >= v.p.Period {
		m.Active = false
	}
	if !m.Active && (c.Pending > 0 || c.Received > m.Seen) {
		m.Active, m.Checked, m.At, m.Mark, m.MarkIn = true, false, c.Age, c.Sent, m.Seen
	}
	m.Seen = c.Received
	switch sinceStart := c.Age - m.At; {
	case !m.Active && sinceStart < 10*v.p.Period:
		v.lookIn(v.p.BlockCheck / 5) // to see the next block begin
	case !m.Active:
		v.lookIn(v.p.BlockCheck)
	case m.Checked:
		v.lookIn(v.p.Period - sinceStart)
	case sinceStart < v.p.BlockCheck:
		v.lookIn(v.p.BlockCheck - sinceStart)
	default:
		m.Checked = true
		v.lookIn(v.p.Period - sinceStart)
		return v.judge()
	}
	return false, unused
}

// unused is why a reserve is promoted without a late block.
const unused = "nothing else is in use"

// judge compares what came since the block began with half of it. A block that
// has come whole is never late, however small.
func (v *view) judge() (bool, string) {
	got, going := v.c.Sent-min(v.m.Mark, v.c.Sent), v.c.Pending > 0
	if !going {
		got = v.c.Received - min(v.m.MarkIn, v.c.Received)
		for i := range v.subs {
			s := &v.subs[i]
			going = going || s.Arrival > 0 && s.Quiet < v.p.BlockCheck/5
		}
	}
	if !going || got >= v.p.Block/2 {
		return false, unused
	}
	v.m.Turn++
	return true, fmt.Sprintf("%d of %d bytes after %s of a block", got, v.p.Block, words(v.c.Age-v.m.At))
}
