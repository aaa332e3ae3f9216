package serve

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// crowd lets strangers in by name and notes who was displaced.
type crowd struct {
	*Strangers
	leave map[string]func()
	gone  []string
}

func newCrowd(l StrangerLimits) *crowd {
	return &crowd{Strangers: NewStrangers(l), leave: make(map[string]func())}
}

func (c *crowd) enter(name, addr string) {
	c.leave[name], _ = c.Enter(netip.MustParseAddr(addr), func() { c.gone = append(c.gone, name) })
}

func (c *crowd) wantGone(t *testing.T, names string) {
	t.Helper()
	if got := strings.Join(c.gone, " "); got != names {
		t.Errorf("displaced: %q, want %q", got, names)
	}
}

func TestStrangersOfOneSource(t *testing.T) {
	for _, tt := range []struct {
		name        string
		first, last string // two addresses
		same        bool   // they are one source
	}{
		{"one address", "192.0.2.1", "192.0.2.1", true},
		{"two addresses", "192.0.2.1", "192.0.2.2", false},
		{"mapped", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"one network", "2001:db8::1", "2001:db8::ffff:1:2:3", true},
		{"two networks", "2001:db8::1", "2001:db8:0:1::1", false},
		{"both families", "192.0.2.1", "2001:db8::1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCrowd(StrangerLimits{Most: 10, PerSource: 2, V4Bits: 32, V6Bits: 64})
			c.enter("a", tt.first)
			c.enter("b", tt.first)
			c.enter("c", tt.last)
			want := ""
			if tt.same {
				want = "a"
			}
			c.wantGone(t, want)
		})
	}
}

// TestStrangersInSum: the oldest goes, whoever it is, unless the newcomer's own source
// has used up its places.
func TestStrangersInSum(t *testing.T) {
	c := newCrowd(StrangerLimits{Most: 3, PerSource: 2, V4Bits: 32, V6Bits: 64})
	c.enter("a", "192.0.2.1")
	c.enter("b", "192.0.2.2")
	c.enter("c", "192.0.2.2")
	c.enter("d", "192.0.2.2") // its source is full
	c.wantGone(t, "b")
	c.enter("e", "192.0.2.3")
	c.wantGone(t, "b a")
	c.leave["b"]() // after it was displaced
	c.leave["c"]()
	c.leave["c"]()
	if n := c.Len(); n != 2 {
		t.Errorf("%d strangers, want 2", n)
	}
	c.enter("f", "192.0.2.4")
	c.wantGone(t, "b a")
}

// TestStrangersAgainstModel enters and leaves at random beside a plain list.
func TestStrangersAgainstModel(t *testing.T) {
	type one struct {
		name, addr string
	}
	limits := StrangerLimits{Most: 6, PerSource: 3, V4Bits: 32, V6Bits: 64}
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		c := newCrowd(limits)
		var here []one
		var gone []string
		for i := range 200 {
			if len(here) > 0 && random.IntN(3) == 0 {
				at := random.IntN(len(here))
				c.leave[here[at].name]()
				here = slices.Delete(here, at, at+1)
				continue
			}
			o := one{fmt.Sprint(i), fmt.Sprintf("192.0.2.%d", random.IntN(4))}
			mine := func(other one) bool { return other.addr == o.addr }
			count := 0
			for _, other := range here {
				if mine(other) {
					count++
				}
			}
			at := -1
			if count >= limits.PerSource {
				at = slices.IndexFunc(here, mine)
			} else if len(here) >= limits.Most {
				at = 0
			}
			if at >= 0 {
				gone = append(gone, here[at].name)
				here = slices.Delete(here, at, at+1)
			}
			here = append(here, o)
			c.enter(o.name, o.addr)
		}
		c.wantGone(t, strings.Join(gone, " "))
		if c.Len() != len(here) {
			t.Fatalf("%d strangers, want %d", c.Len(), len(here))
		}
		for _, o := range here {
			c.leave[o.name]()
		}
		if c.Len() != 0 || len(c.sources) != 0 {
			t.Fatalf("%d strangers and %d sources are left", c.Len(), len(c.sources))
		}
	}
}
