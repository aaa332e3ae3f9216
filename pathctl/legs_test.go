package pathctl

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/pathstate"
)

var (
	far4 = netip.MustParseAddr("192.0.2.1")
	far6 = netip.MustParseAddr("2001:db8::1")
)

// TestLegsBackOff: what is met again and again is left alone for twice as long each time,
// and only what tells more than a TCP handshake takes back what was met behind one.
func TestLegsBackOff(t *testing.T) {
	const first, most = 30 * time.Second, 10 * time.Minute
	for _, tt := range []struct {
		met, disproof pathstate.Result
		clears        bool
	}{
		{pathstate.LegSilent, pathstate.LegConnected, true},
		{pathstate.LegRefused, pathstate.LegConnected, true},
		{pathstate.LegStalled, pathstate.LegConnected, false},
		{pathstate.LegForeignKey, pathstate.LegConnected, false},
		{pathstate.LegStripped, pathstate.LegConnected, false},
		{pathstate.LegStalled, pathstate.LegFine, true},
		{pathstate.LegStripped, pathstate.LegFine, true},
		{pathstate.LegBroken, pathstate.LegFine, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			var l legs
			for _, wait := range []time.Duration{first, 2 * first, 4 * first} {
				l.met("wifi", far4, tt.met, "test")
				l.met("wifi", far4, tt.met, "test") // by a leg that began at the same time
				time.Sleep(wait - 1)
				if !l.LegLeftAlone("wifi", far4) {
					t.Errorf("%v: not left alone for %v", tt.met, wait)
				}
				time.Sleep(1)
				if l.LegLeftAlone("wifi", far4) {
					t.Errorf("%v: left alone for more than %v", tt.met, wait)
				}
			}
			left := func() time.Duration {
				s := l.LegState("wifi")
				return s.Retry(time.Now())
			}
			for range 20 {
				l.met("wifi", far4, tt.met, "test")
				time.Sleep(left())
			}
			if l.met("wifi", far4, tt.met, "test"); left() != most {
				t.Errorf("%v: left alone for %v after many times", tt.met, left())
			}
			if l.met("wifi", far4, tt.disproof, ""); l.LegLeftAlone("wifi", far4) == tt.clears {
				t.Errorf("%v is taken back by %v: %v", tt.met, tt.disproof, !tt.clears)
			}
		})
	}
}

// TestLegsAreRemembered: a way that led nowhere is left alone for a time that depends on
// what was met, until it works; and nothing is kept for ever.
func TestLegsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l legs
		for result, d := range map[pathstate.Result]time.Duration{
			pathstate.LegOvertaken: 10 * time.Second, pathstate.LegSilent: 30 * time.Second, pathstate.LegRefused: 30 * time.Second,
			pathstate.LegConnected: 0, pathstate.LegStripped: 30 * time.Second, pathstate.LegStalled: 30 * time.Second,
			pathstate.LegForeignKey: 30 * time.Second, pathstate.LegBroken: 30 * time.Second, pathstate.LegFine: 0,
		} {
			l.met("wifi", far4, result, "test")
			if got := l.LegLeftAlone("wifi", far4); got != (d > 0) || l.LegLeftAlone("lte", far4) || l.LegLeftAlone("wifi", far6) {
				t.Errorf("%v: left alone %v", result, got)
			}
			time.Sleep(d)
			if l.LegLeftAlone("wifi", far4) {
				t.Errorf("%v: left alone after %v", result, d)
			}
			l.met("wifi", far4, pathstate.LegFine, "")
		}
		l.met("wifi", far4, pathstate.LegSilent, "test")
		l.met("wifi", far4, pathstate.LegOvertaken, "test") // does not shorten it
		time.Sleep(10 * time.Second)
		if !l.LegLeftAlone("wifi", far4) {
			t.Error("a shorter time took the place of the longer one")
		}
		l.met("wifi", far4, pathstate.LegConnected, "")
		if l.LegLeftAlone("wifi", far4) {
			t.Error("success is not forgiven")
		}
		for i := range 100 {
			l.met(fmt.Sprint(i), far4, pathstate.LegSilent, "test")
			time.Sleep(time.Minute)
		}
		if len(l.ways) > 12 {
			t.Errorf("%d entries", len(l.ways))
		}
	})
}

// TestLegsOfAnotherNetwork: a path that comes up anew may be elsewhere.
func TestLegsOfAnotherNetwork(t *testing.T) {
	var l legs
	up, down := []netpath.Path{{Name: "wifi", State: netpath.Up}}, []netpath.Path{{Name: "wifi", State: netpath.Down}}
	l.follow(up)
	l.met("wifi", far4, pathstate.LegForeignKey, "test")
	for _, paths := range [][]netpath.Path{up, down} {
		if l.follow(paths); !l.LegLeftAlone("wifi", far4) {
			t.Error("forgotten without a reason")
		}
	}
	if l.follow(up); l.LegLeftAlone("wifi", far4) {
		t.Error("held against a path that has just come up")
	}
}
