package policy

import "slices"

// senders are the numbers that the concentrator uses, too: they say when its
// own sending fails. The others are about which paths there are, which is the
// client's to decide.
var senders = []string{
	"stall_timeout", "stall_rtts", "stall_burst", "stall_proof", "rto_threshold",
	"loss_threshold", "loss_time", "loss_advantage", "join_timeout", "hold", "hold_max", "forgive",
	"guard_loss", "guard_share", "guard_bloat", "guard_queue", "guard_starved", "guard_far_share", "guard_far", "guard_time", "guard_memory",
}

// UsedBy reports whether the number means anything to a controller in that
// role.
func (d Param) UsedBy(r Role) bool { return r == Client || slices.Contains(senders, d.Key) }
