package mode_test

import (
	"fmt"
	"time"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

// Sticky is a mode of a program's own: the first path carries everything, and another
// one stands by once the connection has moved many bytes. A mode of mpproxy is declared
// like this in a file of package mode.
var Sticky = policy.Register(policy.Definition[StickyNumbers, StickyMemory]{
	Name:     "sticky",
	Traits:   policy.Traits{Place: 100, OnePath: true},
	Defaults: StickyNumbers{StandbyBytes: 1_000_000},
	Numbers: []policy.Number[StickyNumbers]{{
		Key: "standby_bytes", Kind: policy.Bytes, Min: "0B", Max: "1GB", End: policy.AtClient,
		Doc:   "A standby is opened when so many bytes were moved.",
		Field: func(n *StickyNumbers) any { return &n.StandbyBytes },
	}},
	Want: func(v *policy.View, n StickyNumbers, m *StickyMemory) {
		standbys := policy.NoStandby
		if m.Large = m.Large || v.Conn.Sent+v.Conn.Received >= n.StandbyBytes; m.Large {
			standbys = policy.EveryStandby
		}
		best, why := v.ByRank()
		v.Carry(best, standbys, why)
	},
})

// StickyNumbers are the numbers of the mode, [modes.sticky] in the configuration.
type StickyNumbers struct{ StandbyBytes uint64 }

// StickyMemory is what a connection remembers.
type StickyMemory struct {
	Large bool `json:",omitempty"`
}

// A mode is registered once, and then used by its name like any other.
func Example() {
	wifi := policy.Path{Name: "wifi", Rank: 1, Up: true, UpFor: time.Hour}
	lte := policy.Path{Name: "lte", Rank: 2, Up: true, UpFor: time.Hour}
	conn := policy.Conn{
		Mode: Sticky, Age: time.Minute, Sent: 2_000_000,
		Subflows: []policy.Subflow{{ID: 1, Path: "wifi", Initial: true, Established: true}},
	}
	plan, memory := policy.Decide(conn, []policy.Path{wifi, lte}, policy.Memory{})
	for _, c := range plan.Create {
		fmt.Printf("create on %s, backup %t\n", c.Path, c.Backup)
	}
	fmt.Println(memory.Best, memory.Own.(*StickyMemory).Large, mode.Default)
	// Output:
	// create on lte, backup true
	// wifi true aggregate
}
