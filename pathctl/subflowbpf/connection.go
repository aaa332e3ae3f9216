package subflowbpf

import (
	"net/netip"
	"time"

	"mpproxy/mptcpsock/uapi"
)

// A connection is what polling remembers of a source.
type connection struct {
	token uapi.Token
	flows map[flowKey]flow // nil before the first reading
}

// flowKey tells subflows apart: a 4-tuple may be used again.
type flowKey struct {
	id            uapi.SubflowID
	local, remote netip.AddrPort
}

// take compares a reading with the one before and returns what happened since,
// in the order of the subflows. The first reading is only remembered.
func (c *connection) take(subflows []Subflow, now time.Time) []Event {
	first := c.flows == nil
	before := c.flows
	c.flows = make(map[flowKey]flow, len(subflows))
	var events []Event
	for _, s := range subflows {
		key := flowKey{s.ID, s.Local, s.Remote}
		old, known := before[key]
		delete(before, key)
		if !known {
			c.flows[key] = newFlow(s, now)
			if !first {
				events = append(events, c.flows[key].event(State, c.token, Subflow{}, now))
			}
			continue
		}
		next, kinds := old.compare(s, now)
		c.flows[key] = next
		for _, k := range kinds {
			events = append(events, next.event(k, c.token, old.last, now))
		}
	}
	return append(events, c.gone(before, now)...)
}

// gone reports subflows that are not there any more as closed.
func (c *connection) gone(flows map[flowKey]flow, now time.Time) []Event {
	var events []Event
	for _, f := range flows {
		if f.last.TCP.State == uapi.TCPClose {
			continue // told when it happened
		}
		before := f.last
		f.last.TCP.State = uapi.TCPClose
		events = append(events, f.event(State, c.token, before, now))
	}
	return events
}

const (
	// fastest and slowest bound the interval at which a connection with data
	// in flight is read: a quarter of its RTO in between, so that a timeout
	// is found while it is news.
	fastest = 10 * time.Millisecond
	slowest = 100 * time.Millisecond
	// idle is the interval for one without: nothing can time out.
	idle = 250 * time.Millisecond
	// share is how much time each connection gets at least, so that polling
	// costs no more than a tenth of a processor: a reading takes 2 µs with
	// MPTCP_FULL_INFO and 8 µs without.
	share = 100 * time.Microsecond
)

// interval returns how long to wait before a connection is read again, when there
// are n of the kind (in flight, or idle).
func interval(subflows []Subflow, n int) time.Duration {
	wait := idle
	for _, s := range subflows {
		if inFlight(s) {
			wait = min(wait, max(fastest, min(s.TCP.RTO/4, slowest)))
		}
	}
	return max(wait, time.Duration(n)*share)
}

func inFlight(s Subflow) bool { return s.TCP.Unacked > 0 || s.TCP.State == uapi.TCPSynSent }
