package engine

import "mpproxy/mptcpsock/uapi"

// learn takes from a reading what events would have told, had they not been lost:
// that further subflows may join, and where the connection began. Payload of the
// peer shows the first: it comes with the peer's acknowledgement of our key (RFC
// 8684 section 3.1). That the peer's first address takes no further subflows is not
// to be seen: it refuses them then.
func (c *connection) learn(r Reading) {
	if c.established {
		return
	}
	for _, s := range r.Subflows { // in the kernel's order: the first one first
		f := c.find(s.Local, s.Remote)
		if f == nil || s.TCP.State != uapi.TCPEstablished || s.TCP.BytesReceived == 0 {
			continue
		}
		c.established = true
		if !c.remote0.IsValid() {
			c.local0, c.remote0 = s.Local, s.Remote
			f.initial = true
		}
		return
	}
}
