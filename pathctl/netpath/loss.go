package netpath

import (
	"context"
	"net/netip"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A loss is the news that a link works no more or that an address is gone. It
// is acted on at once: traffic is lying on the path. What comes up can wait until
// its configuration is complete, and so can a default route that goes, because
// moving one is often done by removing it and adding another.
type loss struct {
	index int
	addr  netip.Addr // invalid: the whole link
}

// maxLosses bounds those that wait. One more is only a hint: the path is looked
// at a little later.
const maxLosses = 64

// lossOf reads a notification; false when it is about something else.
func lossOf(m netlink.Message) (loss, bool) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK:
		l, err := decodeLink(m.Data)
		return loss{index: l.index}, err == nil && !works(l)
	case unix.RTM_DELLINK:
		l, err := decodeLink(m.Data)
		return loss{index: l.index}, err == nil
	case unix.RTM_DELADDR:
		a, err := decodeAddress(m.Data)
		return loss{a.index, a.addr}, err == nil && a.addr.IsValid()
	}
	return loss{}, false
}

// works reports whether a link can carry frames. IFF_RUNNING follows the carrier
// with a delay of up to a second when links change often (net/core/link_watch.c);
// IFF_LOWER_UP does not.
func works(l link) bool { return linkFault(l) == "" }

// linkFault says why a link carries nothing; empty when it does.
func linkFault(l link) string {
	const carrying = unix.IFF_RUNNING | unix.IFF_LOWER_UP
	switch {
	case l.flags&unix.IFF_UP == 0:
		return "link down"
	case l.flags&carrying != carrying:
		return "no carrier"
	}
	return ""
}

// concerns reports whether a path that is up has lost something.
func (l loss) concerns(paths []Path) bool {
	return slices.ContainsFunc(paths, func(p Path) bool {
		return p.State == Up && p.Index == l.index &&
			(!l.addr.IsValid() || slices.ContainsFunc(p.Addrs, func(a Addr) bool { return a.Addr == l.addr }))
	})
}

// lose looks whether a path has really lost what a notification says, and tells
// at once if it has. Routing follows when the next snapshot is taken.
func (r *runner) lose(ctx context.Context, l loss) {
	if !l.concerns(r.last) {
		return
	}
	s, err := openSession(ctx, r.m.cfg.NetNS)
	if err != nil {
		return // the next snapshot tells
	}
	defer s.close()
	links, err := s.readLinks(r.log)
	if err != nil {
		return
	}
	addrs, err := s.readAddresses(r.log)
	if err != nil {
		return
	}
	r.publish(remaining(clonePaths(r.last), links, addrs))
}

// remaining takes from paths that are up what is there no more.
func remaining(paths []Path, links []link, addrs []address) []Path {
	for i := range paths {
		p := &paths[i]
		if p.State != Up {
			continue
		}
		p.Addrs = slices.DeleteFunc(p.Addrs, func(a Addr) bool {
			return !slices.ContainsFunc(addrs, func(b address) bool { return b.index == p.Index && b.addr == a.Addr })
		})
		at := slices.IndexFunc(links, func(l link) bool { return l.index == p.Index && l.name == p.Interface })
		switch {
		case at < 0:
			p.Reason, p.Index = "not found", 0
		case !works(links[at]):
			p.Reason = linkFault(links[at])
		case len(p.Addrs) == 0:
			p.Reason = "no address"
		default:
			continue
		}
		p.State, p.Warning, p.Addrs = Down, "", nil
	}
	return paths
}
