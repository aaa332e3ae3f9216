package mptcpsock

import (
	"time"

	"mpproxy/mptcpsock/uapi"
)

// Stats is what a connection's subflows have carried, RFC 6897 REQ6.
type Stats struct {
	// Sent and Received are the bytes of all subflows that exist, what was
	// sent again on the same or on another subflow included.
	Sent, Received uint64
	Subflows       []SubflowStats
}

// SubflowStats is one subflow's part.
type SubflowStats struct {
	ID             uapi.SubflowID
	Pair           Pair
	Sent, Received uint64 // bytes
	// SentShare and ReceivedShare are its parts of the sums, 0 to 1. The
	// shares of all subflows add up to 1, or are 0 when nothing was carried.
	SentShare, ReceivedShare float64
	Retransmitted            uint64        // bytes of Sent
	RTT                      time.Duration // smoothed
	RTO                      time.Duration // with back-off
	Timeouts                 uint16        // since the beginning; Linux 6.7, 0 before
	DeliveryRate             uint64        // of the latest flight, bytes per second
}

// Stats reads what each subflow has carried; plain TCP counts as one subflow. It
// needs no privilege. After Close it fails with net.ErrClosed.
func (c *Conn) Stats() (Stats, error) {
	subflows, err := c.Subflows()
	if err != nil {
		return Stats{}, err
	}
	return statsOf(subflows), nil
}

func statsOf(subflows []Subflow) Stats {
	var st Stats
	for _, s := range subflows {
		if s.TCP.State == uapi.TCPClose {
			continue
		}
		st.Sent += s.TCP.BytesSent
		st.Received += s.TCP.BytesReceived
		st.Subflows = append(st.Subflows, SubflowStats{
			ID: s.ID, Pair: s.Pair(),
			Sent: s.TCP.BytesSent, Received: s.TCP.BytesReceived, Retransmitted: s.TCP.BytesRetrans,
			RTT: s.TCP.RTT, RTO: s.TCP.RTO, Timeouts: s.TCP.TotalRTO, DeliveryRate: s.TCP.DeliveryRate,
		})
	}
	for i := range st.Subflows {
		f := &st.Subflows[i]
		f.SentShare, f.ReceivedShare = share(f.Sent, st.Sent), share(f.Received, st.Received)
	}
	return st
}

func share(part, sum uint64) float64 {
	if sum == 0 {
		return 0
	}
	return float64(part) / float64(sum)
}
