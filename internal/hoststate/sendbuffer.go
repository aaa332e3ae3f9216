package hoststate

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The kernel lets a connection hold unacknowledged what its subflows may hold together,
// some windows of each. Whatever waits on a slow one, 32 KiB at least, holds up the
// acknowledgement of all that the others have carried meanwhile; when that fills the
// buffer, they stand still. A piece on 1 Mbit/s with 400 ms did that to 8 Mbit/s beside
// it for a quarter of the time (docs/lab.md, pairs).
//
// SO_SNDBUF would fix the buffers of all subflows as well, which then take too much. But
// to the sum the kernel adds the least that any TCP socket may have
// (net/mptcp/protocol.h, __mptcp_sync_sndbuf, since Linux 6.7), a sysctl of the network
// namespace. For other sockets it means that they may hold as much even when the host is
// short of memory for TCP; other programs' MPTCP connections get the buffer, too.
const (
	writeMemory   = "/proc/sys/net/ipv4/tcp_wmem"
	sendBufferKey = "tcp_wmem"
)

// sendBuffer is what a connection may hold unacknowledged beside that, in bytes: as much
// as the other end takes (mptcpsock.DefaultReceiveBuffer).
const sendBuffer = 8 << 20

// subflowBuffer is what a subflow may hold at least, in bytes. The kernel would let it
// hold three of its windows with bbr. The scheduler waits when the subflow on which a
// byte would linger least is full, and three windows of a near one last 0.1 s: one with
// a round trip of 0.1 s went without data for a quarter of the time (docs/lab.md, simult
// 50/1 ms). It is the second number of the same sysctl, and what any TCP socket begins with.
const subflowBuffer = 256 << 10

// TakeSendBuffer makes the send buffers of MPTCP connections in this network namespace
// wide.
func TakeSendBuffer(j *Journal) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("widening the send buffers of MPTCP connections: %w", err)
		}
	}()
	if err := canBoundUnsent(); err != nil {
		return fmt.Errorf("they would hold too much that was not sent: %w", err)
	}
	before, err := readSysctl(writeMemory)
	if err != nil {
		return err
	}
	after, err := widened(before)
	if err != nil || after == before {
		return err
	}
	return changeSysctl(j, sendBufferKey, writeMemory, before, after)
}

// widened returns the least, first and most that a socket may hold, made wide enough.
func widened(before string) (string, error) {
	var least, first, most int
	if _, err := fmt.Sscan(before, &least, &first, &most); err != nil {
		return "", fmt.Errorf("%s is %q, not three numbers", writeMemory, before)
	}
	return fmt.Sprintf("%d %d %d", max(least, sendBuffer), max(first, min(subflowBuffer, most)), most), nil
}

// canBoundUnsent finds out whether the kernel knows TCP_NOTSENT_LOWAT of MPTCP sockets,
// as Linux 6.9 does.
func canBoundUnsent() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	err = unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_NOTSENT_LOWAT, 256<<10)
	return errors.Join(os.NewSyscallError("setsockopt TCP_NOTSENT_LOWAT", err), unix.Close(fd))
}

// ReturnSendBuffer puts back what TakeSendBuffer has changed.
func ReturnSendBuffer(j *Journal) error { return returnSysctl(j, sendBufferKey) }
