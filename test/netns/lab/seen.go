package main

import "mpproxy/test/netns/capture"

// isJoin keeps the requests for further subflows that a host sends. One that is
// sent again counts again.
func isJoin(s capture.Segment) bool { return s.Outgoing && s.SYN && !s.ACK && s.Join }
