package collect

import (
	"mpproxy/internal/hoststate"
	"mpproxy/internal/status"
)

// Changed says what mpproxys of this network namespace have changed on the host.
func Changed(all []hoststate.Change) (out []status.Change) {
	for _, c := range all {
		out = append(out, status.Change{What: c.Name, Before: c.Before, Set: c.Set, Now: c.Now})
	}
	return out
}
