package policy

import (
	"cmp"
	"slices"
	"time"
)

// slowest returns the subflow in use on a path that has carried least since the
// stage began, or nowhere.
func (v *view) slowest(home int) int {
	if all := v.bySpeed(home); len(all) > 0 {
		return all[0]
	}
	return nowhere
}

// bySpeed returns the subflows in use on a path, those that have carried least since
// the stage began first, without those that have proven their worth.
func (v *view) bySpeed(home int) (all []int) {
	for i := range v.subs {
		if s := &v.subs[i]; s.path == home && s.inUse() && !slices.Contains(v.m.Proven, s.ID) {
			all = append(all, i)
		}
	}
	slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(v.speed(&v.subs[a]), v.speed(&v.subs[b])) })
	return all
}

// speed is the rate of a subflow since the stage began, in bytes a second. It is
// counted rather than taken from the kernel: the pacing rate is half as much
// again, or less, from one moment to the next, and of a subflow that shares its
// path the most that it ever had.
func (v *view) speed(s *sub) uint64 {
	bytes := s.Sent + s.Received
	if k := slices.IndexFunc(v.m.Counts, func(c Carried) bool { return c.ID == s.ID }); k >= 0 {
		bytes -= min(bytes, v.m.Counts[k].Bytes)
	}
	return perSecond(bytes, v.c.Age-v.m.At)
}

func perSecond(bytes uint64, d time.Duration) uint64 {
	return uint64(float64(bytes) / max(d, minLook).Seconds())
}

// together is the rate of all subflows in use since the stage began.
func (v *view) together(home int) (sum uint64) {
	for i := range v.subs {
		if s := &v.subs[i]; s.path == home && !s.Backup && s.Established && s.verdict != dropped {
			sum += v.speed(s)
		}
	}
	return sum
}

func (v *view) flows() bool {
	for i := range v.subs {
		if v.subs[i].Busy {
			return true
		}
	}
	return false
}
