package mode

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	. "mpproxy/pathctl/policy"
)

// TestUsedBy: at the concentrator a number changes some decision if and only if
// it says that it is used there.
func TestUsedBy(t *testing.T) {
	for i, d := range everyParam() {
		t.Run(d.Key, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			matters := false
			tries := 3000
			if d.UsedBy(Concentrator) {
				tries = 500_000 // the first one that shows it is enough
			}
			for range tries {
				c, _, m := anyInput(r) // it knows no paths
				c.Role = Concentrator
				if _, err := DefaultParams(c.Mode).Get(d.Key); err != nil {
					continue // the mode does not have it
				}
				least, most := DefaultParams(c.Mode), DefaultParams(c.Mode)
				if err := least.Set(d.Key, d.Min); err != nil {
					t.Fatal(err)
				}
				if err := most.Set(d.Key, d.Max); err != nil {
					t.Fatal(err)
				}
				c.Params = least
				a, ma := Decide(c, nil, m)
				c.Params = most
				b, mb := Decide(c, nil, m)
				if matters = !cmp.Equal(a, b) || !cmp.Equal(ma, mb); matters {
					break
				}
			}
			if matters != d.UsedBy(Concentrator) {
				t.Errorf("it matters: %t, UsedBy says %t", matters, d.UsedBy(Concentrator))
			}
		})
	}
}
