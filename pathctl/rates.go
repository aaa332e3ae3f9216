package pathctl

import "mpproxy/pathctl/policy"

// tellRates lets subflows that will begin know what their path has carried. Small
// changes are no news.
func (e *engine) tellRates(c *connection) {
	if e.watch == nil {
		return
	}
	for _, f := range c.subflows {
		rate := f.obs.found()
		if !f.established || rate == 0 || rate > f.toldRate*3/4 && rate < f.toldRate*5/4 {
			continue
		}
		path := f.local.Addr()
		if e.role == policy.Concentrator {
			path = f.remote.Addr()
		}
		if err := e.watch.SetFirstRate(path, rate); err != nil {
			e.log.Debug("cannot tell the rate of a path", "path", f.path, "error", err)
			return
		}
		f.toldRate = rate
	}
}

// found returns the rate in bytes a second that a subflow has found its path to carry,
// 0 while it does not know.
func (o *observation) found() uint64 {
	if o.last.SndSsthresh >= noThreshold || o.pace.n <= paceMarks {
		return 0
	}
	return uint64(o.pace.best * float64(o.last.SndMSS))
}
