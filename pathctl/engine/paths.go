package engine

import (
	"cmp"
	"maps"
	"net/netip"
	"time"

	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
)

// setPaths takes a new snapshot of the paths.
func (e *Engine) setPaths(paths []netpath.Path) func(time.Time) {
	return func(now time.Time) {
		before := e.upAt
		e.upAt = make(map[string]time.Time)
		for _, p := range paths {
			if p.State != netpath.Up {
				continue
			}
			at, was := before[p.Name]
			if !was {
				at = now
				delete(e.states, p.Name) // whatever was wrong, it is a new start
			}
			e.upAt[p.Name] = at
		}
		e.paths = paths
		e.forgetLostPaths()
		e.publish()
		e.namePaths()
		e.lookAtAll(now)
	}
}

// forgetLostPaths forgets what is believed about paths that are not there any more. The
// paths of a concentrator's connections are its clients', of which no snapshot tells.
func (e *Engine) forgetLostPaths() {
	if e.role == policy.Client {
		maps.DeleteFunc(e.states, func(name string, _ *pathstate.State) bool { return !e.hasPath(name) })
	}
}

// namePaths finds the paths of subflows anew: one may have begun before its path was
// known, and one whose address is gone is on no path any more. So it occupies none, and
// its path takes another subflow from its new address.
func (e *Engine) namePaths() {
	for _, c := range e.conns {
		for _, f := range c.subflows {
			f.path = e.pathOn(c, f.local.Addr(), f.remote.Addr(), f.device)
		}
	}
}

func (e *Engine) hasPath(name string) bool {
	_, ok := e.pathNamed(name)
	return ok
}

func (e *Engine) pathNamed(name string) (netpath.Path, bool) {
	for _, p := range e.paths {
		if p.Name == name {
			return p, true
		}
	}
	return netpath.Path{}, false
}

// pathOf is pathOn for a subflow of which no interface is known.
func (e *Engine) pathOf(c *connection, local, remote netip.Addr) string {
	return e.pathOn(c, local, remote, 0)
}

// pathOn names the path of a subflow: by its local address on the client, by its
// remote one on the concentrator. Of several paths with one address, that of the
// device is meant; 0 is an interface that is not known.
func (e *Engine) pathOn(c *connection, local, remote netip.Addr, device int) string {
	if c.reg.Role == policy.Concentrator {
		return remote.Unmap().String()
	}
	found := ""
	for _, p := range e.paths {
		switch {
		case !p.Has(local.Unmap()):
		case device != 0 && p.Index == device:
			return p.Name
		case found == "":
			found = p.Name
		}
	}
	return cmp.Or(found, local.Unmap().String()) // else an address that no path has any more
}

// way returns the addresses of a subflow over p, if there are any: a local one
// for which the peer has one of the same family.
func (c *connection) way(p netpath.Path) (local netpath.Addr, remote netip.AddrPort, ok bool) {
	for _, a := range p.Addrs {
		if r, ok := c.remoteFor(a.Addr); ok {
			return a, r, true
		}
	}
	return netpath.Addr{}, netip.AddrPort{}, false
}
