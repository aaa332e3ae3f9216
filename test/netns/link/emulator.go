package link

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// etherHeader is what a frame has on top of the MTU: addresses, a VLAN tag, type.
const etherHeader = 18

// emulator is the user-space backend: two ports and a wire for each direction.
type emulator struct {
	ports  [2]*port
	wires  [2]*wire
	middle *middle // Packet only
	states states  // of the middlebox
}

func newEmulator(ctx context.Context, c Config, kind Kind) (_ *emulator, err error) {
	e := &emulator{}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	if kind == Packet {
		if e.middle, err = newMiddle(c); err != nil {
			return nil, err
		}
		e.ports = e.middle.ports
	}
	for i, end := range []End{c.A, c.B} {
		err = end.NS.Do(ctx, func() error {
			var err error
			if kind == TAP {
				e.ports[i], err = openTAP(end.Name)
			} else {
				err = disableOffloads(end.Name)
			}
			if err != nil {
				return err
			}
			return bringUp(end.Name, c.MTU)
		})
		if err != nil {
			return nil, fmt.Errorf("link: end %s: %w", end.Name, err)
		}
	}
	if e.middle != nil {
		if err = e.middle.waitRunning(ctx); err != nil {
			return nil, err
		}
	}
	for d, p := range []Params{c.AtoB, c.BtoA} {
		name := Direction(d).String() + " " + c.A.Name
		e.wires[d], err = newWire(name, e.ports[d], e.ports[1-d], p, c.Branches, c.MTU+etherHeader, c.Seed, Direction(d))
		if err != nil {
			return nil, err
		}
		e.wires[d].states = &e.states
		e.wires[d].run()
	}
	return e, nil
}

// bringUp sets the MTU of an interface of the calling thread's namespace, and
// the interface up.
func bringUp(name string, mtu int) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	if err := netlink.LinkSetMTU(l, mtu); err != nil {
		return fmt.Errorf("set MTU of %s to %d: %w", name, mtu, err)
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

// tapWorks says whether TAP devices can be had at all.
func tapWorks() bool {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

func (e *emulator) set(d Direction, o orders) error {
	e.wires[d].order(o)
	return nil
}

func (e *emulator) setCarrier(up bool) error {
	return errors.Join(e.ports[0].carrier(up), e.ports[1].carrier(up))
}

func (e *emulator) counters(d Direction) (Counters, error) { return e.wires[d].counters() }

func (e *emulator) close() {
	for _, w := range e.wires {
		if w != nil {
			w.close()
		}
	}
	for _, p := range e.ports {
		if p != nil {
			p.close()
		}
	}
	if e.middle != nil {
		e.middle.close()
	}
}
