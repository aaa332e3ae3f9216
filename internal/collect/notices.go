package collect

import (
	"mpproxy/internal/status"
	"mpproxy/pathctl/coexist"
)

// Notices says what else on this host has a say about subflows. It is never nil:
// programs that read the status get a list.
func Notices(found []coexist.Notice) []status.Notice {
	out := []status.Notice{}
	for _, n := range found {
		out = append(out, status.Notice{Kind: string(n.Kind), What: n.What, Effect: n.Effect, Advice: n.Advice})
	}
	return out
}
