// Package estimate turns what the kernel says of subflows into what policies judge
// by: loss, rate, silence.
//
//	var s estimate.Subflow
//	s.Add(tcpInfo, now)                             // a reading of TCP_INFO
//	s.Timeout(2)                                    // an event of the retransmission timer
//	seen := s.View(policy.Subflow{ID: 1}, awake, now)
//
// It is pure: times come in as values, and nothing is read or written elsewhere.
package estimate
