package hoststate

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// tcpMemory holds three numbers of pages, of all TCP sockets of the host together. Above
// the second one the kernel lets sockets have less. Network namespaces other than the
// host's have no such file.
const tcpMemory = "/proc/sys/net/ipv4/tcp_mem"

// TCPMemory returns how many bytes all TCP sockets of the host may hold before the kernel
// takes memory for short. Where it does not say, it is the kernel's default, a 16th of
// the memory (net/ipv4/tcp.c, tcp_init_mem).
func TCPMemory() uint64 {
	if b, err := os.ReadFile(tcpMemory); err == nil {
		if pages, err := secondNumber(string(b)); err == nil {
			return pages * uint64(os.Getpagesize())
		}
	}
	var i unix.Sysinfo_t
	if err := unix.Sysinfo(&i); err != nil {
		return 0
	}
	return uint64(i.Totalram) * uint64(i.Unit) / 16
}

func secondNumber(s string) (n uint64, err error) {
	var first, third uint64
	if _, err = fmt.Sscan(s, &first, &n, &third); err != nil {
		return 0, fmt.Errorf("%q is not three numbers: %w", s, err)
	}
	return n, nil
}
