package mode

import (
	"cmp"
	"slices"
	"time"

	"mpproxy/pathctl/policy"
)

// slowest returns the subflow in use on a path that has carried least since the
// stage began, or policy.Nowhere.
func (v refresh) slowest(home int) int {
	if all := v.bySpeed(home); len(all) > 0 {
		return all[0]
	}
	return policy.Nowhere
}

// bySpeed returns the subflows in use on a path, those that have carried least since
// the stage began first, without those that have proven their worth.
func (v refresh) bySpeed(home int) (all []int) {
	for i := range v.Subs {
		if s := &v.Subs[i]; s.On == home && s.InUse() && !slices.Contains(v.m.Proven, s.ID) {
			all = append(all, i)
		}
	}
	slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(v.speed(&v.Subs[a]), v.speed(&v.Subs[b])) })
	return all
}

// speed is the rate of a subflow since the stage began, in bytes a second. It is
// counted rather than taken from the kernel: the pacing rate is half as much
// again, or less, from one moment to the next, and of a subflow that shares its
// path the most that it ever had.
func (v refresh) speed(s *policy.Sub) uint64 {
	bytes := s.Sent + s.Received
	if k := slices.IndexFunc(v.m.Counts, func(c Carried) bool { return c.ID == s.ID }); k >= 0 {
		bytes -= min(bytes, v.m.Counts[k].Bytes)
	}
	return perSecond(bytes, v.Conn.Age-v.m.At)
}

func perSecond(bytes uint64, d time.Duration) uint64 {
	return uint64(float64(bytes) / max(d, policy.MinLook).Seconds())
}

// together is the rate of all subflows in use since the stage began.
func (v refresh) together(home int) (sum uint64) {
	for i := range v.Subs {
		if s := &v.Subs[i]; s.On == home && !s.Backup && s.Established && !s.Dropped() {
			sum += v.speed(s)
		}
	}
	return sum
}
