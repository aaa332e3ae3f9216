package netpath

import (
	"slices"

	"golang.org/x/sys/unix"
)

// vrfOf returns the name of the VRF that a link is in, empty: none.
func vrfOf(sys system, l link) string {
	i := slices.IndexFunc(sys.links, func(m link) bool { return l.master != 0 && m.index == l.master && m.isVRF() })
	if i < 0 {
		return ""
	}
	return sys.links[i].name
}

// leadsOut reports whether an interface has a default route in the main table.
func leadsOut(sys system, index int) bool {
	return slices.ContainsFunc(sys.routes, func(r route) bool { return r.oif == index && r.table == unix.RT_TABLE_MAIN && r.isWay() })
}
