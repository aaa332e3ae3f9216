package mptcpsock

import (
	"mpproxy/mptcpsock/uapi"
)

// The basic API of RFC 6897 section 5.3. Before the connection its values are
// fields of Dialer and ListenConfig.

// Enabled is TCP_MULTIPATH_ENABLE, to be read after the connection is
// established: false means that this end, the peer or something between them
// lacks MPTCP. Conn.Fallback says which.
func (c *Conn) Enabled() (bool, error) { return c.IsMultipath() }

// Enable is TCP_MULTIPATH_ENABLE, set too late: it fails with ErrConnected
// whatever the value, as RFC 6897 section 5.3.1 wants it. Dialer.Disable and
// ListenConfig.Disable set it in time.
func (c *Conn) Enable(bool) error {
	if err := c.alive(); err != nil {
		return err
	}
	return &OpError{Op: "enable MPTCP", Err: ErrConnected}
}

// Pairs is TCP_MULTIPATH_SUBFLOWS: the ends of the established subflows, in the
// kernel's order. Plain TCP has one. It needs no privilege.
func (c *Conn) Pairs() ([]Pair, error) {
	subflows, err := c.Subflows()
	if err != nil {
		return nil, err
	}
	var pairs []Pair
	for _, s := range subflows {
		if s.TCP.State == uapi.TCPEstablished {
			pairs = append(pairs, s.Pair())
		}
	}
	return pairs, nil
}

// ConnID is TCP_MULTIPATH_CONNID: the connection's token, unique in this
// network namespace while the connection exists. It fails with ErrNotMultipath
// on plain TCP, whose ends are its id.
func (c *Conn) ConnID() (uapi.Token, error) { return c.Token() }
