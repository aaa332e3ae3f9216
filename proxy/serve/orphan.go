package serve

import (
	"context"
	"errors"
	"net"

	"mpproxy/mptcpsock/subdiag"
)

// orphaned reports whether no program has the other end of a connection any more, as far
// as the kernel of this host can tell: the other end is here, and is no program's or gone.
// An end in another network namespace, or on another host, is not known.
func orphaned(conn *net.TCPConn) bool {
	local, remote := AddrPort(conn.LocalAddr()), AddrPort(conn.RemoteAddr())
	r, err := subdiag.Read(context.Background(), remote, local)
	switch {
	case err == nil:
		return r.Inode == 0
	case errors.Is(err, subdiag.ErrNoSocket):
		return remote.Addr().IsLoopback() || remote.Addr() == local.Addr()
	}
	return false
}
