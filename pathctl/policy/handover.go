package policy

// handover: the best-ranked path carries everything. An unmetered standby waits
// as an established backup; a metered one has no subflow until the path in use
// has failed, and loses it again when a better one is back (SMAPP §4.2, Apple's
// Handover).
func handover(v *view) {
	best, why := v.byRank()
	v.carry(best, unmeteredStandby, why)
}
