package policy

// backup is RFC 8684's own: further paths are established at once and flagged
// backup, metered or not; max_subflows says how many.
func backup(v *view) {
	best, why := v.byRank()
	v.carry(best, everyStandby, why)
}
