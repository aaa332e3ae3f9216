package mode

import (
	"mpproxy/pathctl/policy"
)

// Handover lets the best-ranked path carry everything. An unmetered standby waits
// as an established backup; a metered one has no subflow until the path in use
// has failed, and loses it again when a better one is back (SMAPP §4.2, Apple's
// Handover).
var Handover = policy.Register(policy.Definition[policy.None, policy.None]{
	Name: "handover", Traits: policy.Traits{Place: 2, OnePath: true},
	Want: func(v *policy.View, _ policy.None, _ *policy.None) {
		best, why := v.ByRank()
		v.Carry(best, policy.UnmeteredStandby, why)
	},
})
