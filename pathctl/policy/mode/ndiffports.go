package mode

import (
	"mpproxy/pathctl/policy"
)

// Ndiffports has n subflows on the same path, as the path manager of that name in
// the first Linux implementation had them.
var Ndiffports = policy.Register(policy.Definition[SeveralNumbers, policy.None]{
	Name: "ndiffports", Traits: policy.Traits{Place: 8, OnePath: true, Several: true},
	Defaults: SeveralNumbers{SubflowCount: 2}, Numbers: severalTable, Fits: severalFits,
	Want: func(v *policy.View, n SeveralNumbers, _ *policy.None) {
		w := several{v, n}
		w.fill(w.settle(false))
	},
})
