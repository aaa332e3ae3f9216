package cli

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Room is what connections of all kinds may take of this host.
type Room struct {
	Descriptors uint64 // the soft limit
	Memory      uint64 // bytes, of the host or of its control group
}

// reservedDescriptors are kept for listeners, files, netlink sockets, pipes of
// the relay and connections that are being refused.
const reservedDescriptors = 512

// mostDescriptors stands for "no limit".
const mostDescriptors = 4 << 20

// What connections take of the memory that programs have. The kernel has its own account,
// tcp_mem.
const (
	connectionBytes = 64 << 10 // an idle one takes half of that with TLS (go run ./test/bench -only idle)
	connectionsPart = 2        // half of the memory is for connections
	strangerBytes   = 32 << 10 // a TLS handshake that has begun was seen to take 28 KiB
	strangersPart   = 16
)

// mostStrangers are enough for any number of honest handshakes: at 100,000 a second each
// has 160 ms.
const mostStrangers = 16_384

// OurRoom returns what this process may use.
func OurRoom() (Room, error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return Room{}, fmt.Errorf("reading the descriptor limit: %w", err)
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return Room{}, fmt.Errorf("reading how much memory there is: %w", err)
	}
	memory := uint64(info.Totalram) * uint64(info.Unit)
	// A container sees its own group at the root. Elsewhere this file does not exist.
	if text, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if most, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64); err == nil {
			memory = min(memory, most)
		}
	}
	return Room{Descriptors: r.Cur, Memory: memory}, nil
}

// MaxStrangers returns how many peers may be shaking hands: the configured number, at most
// what the descriptor limit allows; for 0 what memory allows as well. It is at least 1.
func (r Room) MaxStrangers(configured int) int {
	possible := max(int(min(r.Descriptors, mostDescriptors)/8), 1)
	if configured == 0 {
		return min(possible, mostStrangers, max(int(r.Memory/strangersPart/strangerBytes), 1))
	}
	return min(configured, possible)
}

// MaxConnections returns how many connections there may be beside so many strangers: the
// configured number, at most what the descriptor limit allows, two sockets a connection;
// for 0 what memory allows as well. It is at least 1.
func (r Room) MaxConnections(configured, strangers int) int {
	limit := int(min(r.Descriptors, mostDescriptors))
	possible := (limit - reservedDescriptors) / 2
	if limit < 2*reservedDescriptors {
		possible = limit / 4
	}
	possible = max(possible-(strangers+1)/2, 1)
	if configured == 0 {
		return min(possible, max(int(r.Memory/connectionsPart/connectionBytes), 1))
	}
	return min(configured, possible)
}
