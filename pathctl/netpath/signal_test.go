package netpath

import (
	"errors"
	"os"
	"testing"

	"github.com/mdlayher/wifi"
)

func TestSignalGate(t *testing.T) {
	const least = -75
	for _, tt := range []struct {
		name     string
		readings []int
		want     []bool // weak after each
	}{
		{"strong", []int{-60, -74, -75}, []bool{false, false, false}},
		{"one weak reading is none", []int{-80, -60, -80, -60}, []bool{false, false, false, false}},
		{"weak", []int{-76, -76, -76}, []bool{false, true, true}},
		{"a little better is not strong", []int{-80, -80, -74, -71, -74, -71}, []bool{false, true, true, true, true, true}},
		{"strong again", []int{-80, -80, -70, -70, -70}, []bool{false, true, true, true, false}},
		{"not so fast", []int{-80, -80, -70, -70, -71, -70, -70}, []bool{false, true, true, true, true, true, true}},
		{"around the threshold nothing flaps", []int{-74, -76, -74, -76, -74, -76}, []bool{false, false, false, false, false, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var g signalGate
			before := false
			for i, dBm := range tt.readings {
				changed := g.add(dBm, least)
				if g.weak != tt.want[i] || changed != (g.weak != before) {
					t.Errorf("reading %d: weak %t, changed %t, want weak %t", i, g.weak, changed, tt.want[i])
				}
				before = g.weak
			}
		})
	}
}

// fakeRadio gives what it is told. There is no way to have a real one in a test:
// that takes an adapter, or the module mac80211_hwsim.
type fakeRadio struct {
	dBm    map[int]int
	err    error
	closed int
}

func (r *fakeRadio) signals() (map[int]int, error) { return r.dBm, r.err }
func (r *fakeRadio) close()                        { r.closed++ }

func TestSignalWatch(t *testing.T) {
	sels := []Selector{{Interface: "wlan*", MinSignal: -75}, {Interface: "wwan0"}}
	paths := []Path{{Name: "wifi", Interface: "wlan0", Index: 1}, {Name: "lte", Interface: "wwan0", Index: 2}}
	r := &fakeRadio{dBm: map[int]int{1: -90, 2: -90}}
	w := newSignalWatch(func() (radio, error) { return r, nil }, testLog(t))
	defer w.stop()
	if w.poll(paths, sels) {
		t.Error("changed without a radio")
	}
	w.start(sels)
	diff(t, "changed by one reading", false, w.poll(paths, sels))
	diff(t, "changed by two", true, w.poll(paths, sels))
	diff(t, "weak, where there is a threshold", map[int]bool{1: true}, w.weak())
	diff(t, "changed by a third", false, w.poll(paths, sels))

	r.dBm = map[int]int{2: -90}
	diff(t, "changed by leaving the network", true, w.poll(paths, sels))
	diff(t, "weak after that", map[int]bool{}, w.weak())

	r.dBm, r.err = nil, errors.New("broken")
	w.poll(paths, sels)
	diff(t, "closed after an error", 1, r.closed)
	r.err, r.dBm = nil, map[int]int{1: -60}
	w.start(sels) // opens it again
	w.poll(paths, sels)
	diff(t, "readings", map[int]int{1: -60}, w.dBm)
}

// TestNoRadio: without nl80211 the reason is one that can be told apart, and
// nothing is weak. Where there is one, reading works without privileges.
func TestNoRadio(t *testing.T) {
	r, err := openRadio()
	if err == nil {
		defer r.close()
		if _, err := r.signals(); err != nil {
			t.Error(err)
		}
		return
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v is not os.ErrNotExist", err)
	}
	sels := []Selector{{Interface: "wlan*", MinSignal: -75}}
	w := newSignalWatch(openRadio, testLog(t))
	w.start(sels)
	if w.poll([]Path{{Interface: "wlan0", Index: 1}}, sels) || len(w.weak()) != 0 {
		t.Error("weak without a radio")
	}
	w.stop()
}

func TestStrength(t *testing.T) {
	for _, tt := range []struct {
		name    string
		station wifi.StationInfo
		want    int
		ok      bool
	}{
		{"average", wifi.StationInfo{Signal: -80, SignalAverage: -70}, -70, true},
		{"driver without an average", wifi.StationInfo{Signal: -80}, -80, true},
		{"driver that says nothing", wifi.StationInfo{}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := strength(&tt.station); got != tt.want || ok != tt.ok {
				t.Errorf("got %d, %t", got, ok)
			}
		})
	}
}

// TestWeakRanksLast: whatever ranks are given, and by route metric, too.
func TestWeakRanksLast(t *testing.T) {
	for _, tt := range []struct {
		name string
		sels []Selector
	}{
		{"ranks given", []Selector{{Interface: "wlan0", Rank: 1}, {Interface: "wwan0", Rank: 7}}},
		{"by metric", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sys := twoLinks()
			before, _ := discover(sys, tt.sels, newMemory())
			diff(t, "best", "wlan0", before[0].Name)
			sys.Weak = map[int]bool{1: true}
			ps, _ := discover(sys, tt.sels, newMemory())
			diff(t, "best while it is weak", "wwan0", ps[0].Name)
			if wlan := ps[1]; !wlan.Weak || wlan.State != Up || wlan.Rank <= ps[0].Rank {
				t.Errorf("weak path: %+v", wlan)
			}
			diff(t, "told as a change", true, len(Compare(before, ps)) > 0)
		})
	}
}

// TestWeakPathIsTold: the threshold works from the reading to the snapshot.
func TestWeakPathIsTold(t *testing.T) {
	l := newLab(t)
	var told []Path
	cfg := Config{
		NetNS: l.host.fd, Selectors: []Selector{{Interface: "wan0", MinSignal: -70}, {Interface: "wan1"}},
		Notify: func(ps []Path) { told = ps },
	}
	r := newRunner(New(cfg, testLog(t)))
	if err := r.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	diff(t, "best", "wan0", told[0].Name)
	r.signal.radio = &fakeRadio{dBm: map[int]int{l.host.index("wan0"): -80}}
	for range weakAfter {
		r.signal.poll(r.last, cfg.Selectors)
	}
	_, err := r.refresh(t.Context())
	l.host.must("refresh", err)
	diff(t, "best while wan0 is weak", "wan1", told[0].Name)
	diff(t, "weak", true, told[1].Weak)
}
