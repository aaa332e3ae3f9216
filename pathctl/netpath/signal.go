package netpath

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"time"

	"github.com/mdlayher/wifi"

	"mpproxy/pathctl/netpath/rtnl"
)

const (
	// signalInterval is how often the strength of Wi-Fi signals is read. It is
	// an average over packets already; the kernel tells of no change.
	signalInterval = 2 * time.Second
	// weakAfter is how many readings below the threshold in a row make a path
	// weak, strongAfter how many above it by strongMargin make it one like any
	// other again.
	weakAfter   = 2
	strongAfter = 3
	// strongMargin is in dB: what a hand around a phone costs.
	strongMargin = 5
)

// The range of Selector.MinSignal, in dBm: from what no receiver can hear to
// what is next to the antenna.
const (
	LeastSignal = -100
	MostSignal  = -20
)

// A signalGate decides with hysteresis whether a signal is too weak.
type signalGate struct {
	weak   bool
	streak int // readings in a row that speak for the other state
}

// add takes a reading in dBm and reports whether the state has changed.
func (g *signalGate) add(dBm, least int) bool {
	against, enough := dBm < least, weakAfter
	if g.weak {
		against, enough = dBm >= least+strongMargin, strongAfter
	}
	if !against {
		g.streak = 0
		return false
	}
	if g.streak++; g.streak < enough {
		return false
	}
	g.weak, g.streak = !g.weak, 0
	return true
}

// A radio reads how strong Wi-Fi interfaces receive their access point.
type radio interface {
	// signals returns dBm by the index of the interface, for those that are
	// associated with an access point.
	signals() (map[int]int, error)
	close()
}

// signalWatch follows the signals of paths. Run's goroutine owns it.
type signalWatch struct {
	open  func() (radio, error)
	log   *slog.Logger
	radio radio // nil: there is none, or it failed
	said  bool  // that a threshold has no effect

	dBm   map[int]int // the newest readings; never changed, only replaced
	gates map[int]*signalGate
}

func newSignalWatch(open func() (radio, error), log *slog.Logger) *signalWatch {
	return &signalWatch{open: open, log: log, gates: make(map[int]*signalGate)}
}

// start opens the radio if there is one now: a USB adapter brings nl80211 with
// it. Without one nothing is weak; where a threshold was asked for, it is said.
func (w *signalWatch) start(sels []Selector) {
	if w.radio != nil {
		return
	}
	var err error
	if w.radio, err = w.open(); err == nil {
		return
	}
	w.radio = nil
	for _, s := range sels {
		if s.MinSignal != 0 && !w.said {
			w.said = true
			w.log.Info("Wi-Fi signals cannot be read: min_signal has no effect for now", "error", err)
		}
	}
}

// poll reads all signals and reports whether a path has become weak, or is not
// any more.
func (w *signalWatch) poll(paths []Path, sels []Selector) (changed bool) {
	if w.radio == nil {
		return false
	}
	dBm, err := w.radio.signals()
	if err != nil {
		w.log.Debug("cannot read Wi-Fi signals", "error", err)
		w.stop() // start opens it again
	}
	w.dBm = dBm
	for index, g := range w.gates { // left its network: the next one is a new start
		if _, ok := dBm[index]; !ok {
			changed = changed || g.weak
			delete(w.gates, index)
		}
	}
	for _, p := range paths {
		matching := matchSelectors(sels, append([]string{p.Interface}, p.OtherNames...)...)
		now, ok := dBm[p.Index]
		if len(matching) == 0 || sels[matching[0]].MinSignal == 0 || !ok {
			continue
		}
		if w.gates[p.Index] == nil {
			w.gates[p.Index] = &signalGate{}
		}
		changed = w.gates[p.Index].add(now, sels[matching[0]].MinSignal) || changed
	}
	return changed
}

// weak returns the indexes of the interfaces whose signal is too weak.
func (w *signalWatch) weak() map[int]bool {
	weak := make(map[int]bool)
	for index, g := range w.gates {
		weak[index] = g.weak
	}
	maps.DeleteFunc(weak, func(_ int, is bool) bool { return !is })
	return weak
}

func (w *signalWatch) stop() {
	if w.radio != nil {
		w.radio.close()
		w.radio = nil
	}
}

// checkMinSignal says what is wrong with a threshold; 0 is none.
func checkMinSignal(dBm int) error {
	if dBm != 0 && (dBm < LeastSignal || dBm > MostSignal) {
		return fmt.Errorf("signal of %d dBm: use %d to %d", dBm, LeastSignal, MostSignal)
	}
	return nil
}

// wifiRadio asks nl80211, which tells of the interfaces of the network namespace
// that it was opened in. Reading needs no privilege.
type wifiRadio struct{ client *wifi.Client }

// openRadio opens nl80211. The error matches os.ErrNotExist where the kernel has
// none, or no Wi-Fi adapter has brought it.
func openRadio() (radio, error) {
	c, err := wifi.New()
	if err != nil {
		return nil, fmt.Errorf("open nl80211: %w", err)
	}
	return wifiRadio{c}, nil
}

// signals reads the strength that each interface in station mode has. One that
// is not associated has no station.
func (r wifiRadio) signals() (map[int]int, error) {
	if err := r.client.SetDeadline(time.Now().Add(rtnl.SessionTimeout)); err != nil {
		return nil, fmt.Errorf("set deadline of nl80211 socket: %w", err)
	}
	interfaces, err := r.client.Interfaces()
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // none
	}
	if err != nil {
		return nil, fmt.Errorf("list Wi-Fi interfaces: %w", err)
	}
	dBm := make(map[int]int)
	for _, i := range interfaces {
		if i.Type != wifi.InterfaceTypeStation {
			continue
		}
		stations, err := r.client.StationInfo(i)
		if errors.Is(err, os.ErrNotExist) {
			continue // gone meanwhile, or not associated
		}
		if err != nil {
			return nil, fmt.Errorf("read the signal of %s: %w", i.Name, err)
		}
		for _, s := range stations {
			if level, ok := strength(s); ok {
				dBm[i.Index] = level
			}
		}
	}
	return dBm, nil
}

// strength is the average where the driver has one: a single packet says little.
func strength(s *wifi.StationInfo) (dBm int, ok bool) {
	if s.SignalAverage != 0 {
		return s.SignalAverage, true
	}
	return s.Signal, s.Signal != 0
}

func (r wifiRadio) close() { _ = r.client.Close() } // only read from
