package status

import (
	"net/netip"
	"slices"
)

// WithRates returns s with the rates of its paths and subflows, computed from an
// earlier snapshot. Counters that ran backwards (an interface that came anew)
// count from zero.
func (s Status) WithRates(earlier Status) Status {
	dt := s.Taken.Sub(earlier.Taken).Seconds()
	if dt <= 0 {
		return s
	}
	s.Paths = pathRates(s.Paths, earlier.Paths, dt)
	s.Connections = connectionRates(s.Connections, earlier.Connections, dt)
	return s
}

func pathRates(paths, earlier []Path, dt float64) []Path {
	before := make(map[string]Path, len(earlier))
	for _, p := range earlier {
		before[p.Interface] = p
	}
	paths = slices.Clone(paths)
	for i, p := range paths {
		b, ok := before[p.Interface]
		if !ok {
			continue
		}
		paths[i].ReceiveRate = rate(b.ReceivedBytes, p.ReceivedBytes, dt)
		paths[i].SendRate = rate(b.SentBytes, p.SentBytes, dt)
	}
	return paths
}

// ends name a subflow of a connection.
type ends struct {
	connection    uint64
	local, remote netip.AddrPort
}

// connectionRates fills in the rates of subflows. One that is new counts from
// zero: it has sent all of that in the interval.
func connectionRates(conns, earlier []Connection, dt float64) []Connection {
	before := make(map[ends]Subflow)
	known := make(map[uint64]bool, len(earlier))
	for _, c := range earlier {
		known[c.ID] = true
		for _, f := range c.Subflows {
			before[ends{c.ID, f.Local, f.Remote}] = f
		}
	}
	conns = slices.Clone(conns)
	for i, c := range conns {
		if !known[c.ID] {
			continue
		}
		conns[i].Subflows = slices.Clone(c.Subflows)
		for j, f := range c.Subflows {
			b := before[ends{c.ID, f.Local, f.Remote}]
			to := &conns[i].Subflows[j]
			to.ReceiveRate = rate(b.ReceivedBytes, f.ReceivedBytes, dt)
			to.SendRate = rate(b.SentBytes, f.SentBytes, dt)
			if sent := since(b.SentBytes, f.SentBytes); sent > 0 {
				to.LossRatio = min(1, float64(since(b.Retransmitted, f.Retransmitted))/float64(sent))
			}
		}
	}
	return conns
}

func rate(before, now uint64, seconds float64) uint64 {
	return uint64(float64(since(before, now)) * 8 / seconds)
}

// since is how much a counter has grown.
func since(before, now uint64) uint64 {
	if now < before {
		return now
	}
	return now - before
}
