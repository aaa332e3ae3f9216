package mode

import (
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

// Single has one subflow and no others, whatever it loses. Only when its path is
// down or gone, and the connection would be lost, is a successor made; the two
// never carry data side by side (Paasch's single-path mode).
var Single = policy.Register(policy.Definition[policy.None, policy.None]{
	Name: "single", Traits: policy.Traits{Place: 9, Alone: true},
	Want: func(v *policy.View, _ policy.None, _ *policy.None) { single(v) },
})

var carriesAlone = reason.New("carries-alone", "{path} carries the only subflow")

func single(v *policy.View) {
	best, why := v.ByRank()
	if v.ReadyOn(best) != policy.Nowhere {
		v.Choose(v.Paths[best].Name)
		one := v.ReadyOn(best)
		for i := range v.Subs {
			if i == one {
				v.Keep(i, false, why)
			} else if !v.Subs[i].Dropped() {
				v.Drop(i, policy.Unneeded, reason.Reason{Kind: carriesAlone, Path: v.Memory.Best})
			}
		}
		return
	}
	v.Rescue()
}
