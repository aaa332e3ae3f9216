package netpath

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// sessionTimeout bounds one session: a dump and the changes that follow it. On
// an idle machine that is a millisecond; a kernel that does not answer for this
// long is not going to.
const sessionTimeout = 5 * time.Second

// maxDumpAttempts bounds how often a dump that changed under our hands is read
// again at once. Whatever interrupted it is announced on the watched groups as
// well, so giving up is harmless.
const maxDumpAttempts = 3

// A session is a netlink socket for one round of questions. Each user opens its
// own, so that nothing is shared and no answer of an abandoned round can be
// taken for one of the next.
type session struct {
	conn *netlink.Conn
	stop func() bool
}

// openSession opens a socket in the namespace nsFD (0: the caller's own) whose
// waits end with ctx or after sessionTimeout.
func openSession(ctx context.Context, nsFD int) (*session, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: nsFD})
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	// Strict checking makes the kernel filter dumps by table and protocol
	// (Linux 4.20) instead of handing out, say, a full BGP table.
	if err := conn.SetOption(netlink.GetStrictCheck, true); err != nil {
		return nil, errors.Join(fmt.Errorf("enable strict checks on rtnetlink socket: %w", err), conn.Close())
	}
	if err := conn.SetDeadline(time.Now().Add(sessionTimeout)); err != nil {
		return nil, errors.Join(fmt.Errorf("set deadline of rtnetlink socket: %w", err), conn.Close())
	}
	expire := func() { _ = conn.SetDeadline(time.Unix(1, 0)) } // fails only on a closed socket
	return &session{conn: conn, stop: context.AfterFunc(ctx, expire)}, nil
}

func (s *session) close() {
	s.stop()
	_ = s.conn.Close() // nothing was buffered, nothing can be lost
}

// execute sends one message and returns the raw replies.
func (s *session) execute(what string, kind uint16, flags netlink.HeaderFlags, data []byte) ([]netlink.Message, error) {
	replies, err := s.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request | flags},
		Data:   data,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return replies, nil
}

// dump collects the replies to one dump request. A table that does not exist
// (yet) is empty, and so is a family that the kernel does not have (IPv6
// switched off at boot, no policy routing).
func (s *session) dump(what string, kind uint16, data []byte) ([]netlink.Message, error) {
	for attempt := 1; ; attempt++ {
		msgs, err := s.execute("dump "+what, kind, netlink.Dump, data)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
			return nil, nil
		}
		if err != nil || attempt == maxDumpAttempts || !interrupted(msgs) {
			return msgs, err
		}
	}
}

func interrupted(msgs []netlink.Message) bool {
	for _, m := range msgs {
		if m.Header.Flags&netlink.DumpInterrupted != 0 {
			return true
		}
	}
	return false
}
