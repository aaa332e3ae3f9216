package mode

import (
	"mpproxy/pathctl/policy"
)

// Backup is RFC 8684's own (section 3.3.8): further paths are established at once and
// flagged backup, metered or not; max_subflows says how many.
var Backup = policy.Register(policy.Definition[policy.None, policy.None]{
	Name: "backup", Traits: policy.Traits{Place: 7, OnePath: true},
	Adjust: func(c *policy.Common) { c.MaxSubflows = 2 }, // "the second path"
	Want: func(v *policy.View, _ policy.None, _ *policy.None) {
		best, why := v.ByRank()
		v.Carry(best, policy.EveryStandby, why)
	},
})
