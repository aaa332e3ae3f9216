package netpath

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/wifi"
)

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
	if err := r.client.SetDeadline(time.Now().Add(sessionTimeout)); err != nil {
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
