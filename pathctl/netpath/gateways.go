package netpath

import "slices"

// returned are the gateways that paths in after have and paths in before had not.
func returned(before, after []Path) []neighbour {
	old := gateways(before)
	return slices.DeleteFunc(gateways(after), func(n neighbour) bool { return slices.Contains(old, n) })
}

func gateways(paths []Path) (all []neighbour) {
	for _, p := range paths {
		for _, a := range p.Addrs {
			if a.Gateway.IsValid() {
				all = append(all, neighbour{p.Index, a.Gateway})
			}
		}
	}
	return all
}
