package mode

import (
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

// several keeps n subflows on one path.
type several struct {
	*policy.View
	n SeveralNumbers
}

// SeveralNumbers say how many subflows are in use on a path.
type SeveralNumbers struct{ SubflowCount int }

var severalTable = []policy.Number[SeveralNumbers]{
	{Key: "subflows", Kind: policy.Count, Min: "1", Max: "8", End: policy.AtClient, Doc: "Subflows on the path.", Field: func(n *SeveralNumbers) any { return &n.SubflowCount }},
}

var severalFits = []policy.Fit[SeveralNumbers]{
	{Key: "subflows", Legal: "at most max_subflows", OK: func(c *policy.Common, n *SeveralNumbers) bool { return n.SubflowCount <= c.MaxSubflows }},
}

var oneOfSeveral = reason.New("one-of-several", "one of several on the path")

// settle chooses the path for all subflows and clears the others. A path before
// it in preference gets one backup, to return to. It returns policy.Nowhere while no
// path works. With parks those that are flagged backup on the path stay so.
func (v several) settle(parks bool) int {
	home, why := v.ByRank()
	if home != policy.Nowhere {
		v.Choose(v.Paths[home].Name)
	}
	carries := v.ReadyOn(home) != policy.Nowhere
	for i := range v.Subs {
		s := &v.Subs[i]
		switch {
		case s.Dropped() || s.On == policy.Nowhere || !carries:
		case s.On == home:
			v.Keep(i, s.Backup && parks, why)
		case s.On < home:
			v.Keep(i, true, reason.Reason{Kind: policy.ReasonCarries, Path: v.Memory.Best})
		case s.On > home:
			v.Dismiss(i)
		}
	}
	if !carries {
		return policy.Nowhere
	}
	for k := range v.Paths[:home] {
		v.Add(k, true, v.Preferred(k))
	}
	return home
}

// fill creates what is missing of the n subflows on a path. After a failure
// there it waits for the back-off that comes.
func (v several) fill(home int) {
	if home == policy.Nowhere || !v.CanOpen(home) {
		return
	}
	n := 0
	for i := range v.Subs {
		s := &v.Subs[i]
		switch {
		case s.On != home:
		case s.Failed():
			return
		case !s.Dropped():
			n++
		}
	}
	for ; n < v.n.SubflowCount && v.Room() > 0; n++ {
		v.Create(home, false, reason.Reason{Kind: oneOfSeveral})
	}
}
