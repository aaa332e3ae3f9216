package engine

import "mpproxy/pathctl/policy"

// tellRates lets subflows that will begin know what their path has carried. Small
// changes are no news.
func (e *Engine) tellRates(c *connection) {
	if e.watch == nil {
		return
	}
	for _, f := range c.subflows {
		rate := f.obs.FoundRate()
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
