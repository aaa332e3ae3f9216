package mptcpsock

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// getsockopt fills b with a socket option and returns how much of it the kernel
// filled. x/sys has it for known types only.
func getsockopt(fd, level, name int, b []byte) (int, error) {
	n := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return 0, os.NewSyscallError("getsockopt", errno)
	}
	return int(min(n, uint32(len(b)))), nil
}
