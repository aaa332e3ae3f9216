package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Namespace is where a capture looks; *netns.Host is one.
type Namespace interface {
	Do(ctx context.Context, fn func() error) error
}

// Options say what is captured.
type Options struct {
	// SYN leaves out all but IPv4 segments with the SYN flag, in the kernel, so
	// that the capture costs next to nothing.
	SYN bool
	// Buffer in bytes, 0 is 8 MiB.
	Buffer int
}

// headers is as much of a frame as Decode looks at: 14 of Ethernet, 60 of IP,
// 60 of TCP.
const headers = 134

// Capture is a packet socket on all interfaces of a namespace. One goroutine
// reads it.
type Capture struct {
	file   *os.File
	closed atomic.Bool
	buf    [headers]byte
	oob    [128]byte
}

// Open begins to capture. The context bounds the start.
func Open(ctx context.Context, ns Namespace, o Options) (*Capture, error) {
	c := &Capture{}
	err := ns.Do(ctx, func() error {
		// No protocol yet: nothing may come in before the filter is there.
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		c.file = os.NewFile(uintptr(fd), "capture")
		return c.prepare(fd, o)
	})
	if err != nil {
		if c.file != nil {
			err = errors.Join(err, c.file.Close())
		}
		return nil, fmt.Errorf("capture: %w", err)
	}
	return c, nil
}

func (c *Capture) prepare(fd int, o Options) error {
	if o.Buffer == 0 {
		o.Buffer = 8 << 20
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, o.Buffer); err != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, o.Buffer) // as much as is allowed
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("time stamps: %w", err)
	}
	if err := attach(fd, filter(o)); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL)})
}

func bigEndian(v uint16) uint16 { return v<<8 | v>>8 }

// filter keeps the headers of TCP segments.
func filter(o Options) []bpf.Instruction {
	const flagSYN = 2
	if o.SYN {
		return []bpf.Instruction{
			bpf.LoadAbsolute{Off: 12, Size: 2},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: etherIPv4, SkipTrue: 6},
			bpf.LoadAbsolute{Off: 14 + 9, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoTCP, SkipTrue: 4},
			bpf.LoadMemShift{Off: 14},
			bpf.LoadIndirect{Off: 14 + 13, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: flagSYN, SkipTrue: 1},
			bpf.RetConstant{Val: headers},
			bpf.RetConstant{Val: 0},
		}
	}
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: etherIPv6, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: etherIPv4, SkipTrue: 5},
		bpf.LoadAbsolute{Off: 14 + 9, Size: 1},
		bpf.Jump{Skip: 1},
		bpf.LoadAbsolute{Off: 14 + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoTCP, SkipTrue: 1},
		bpf.RetConstant{Val: headers},
		bpf.RetConstant{Val: 0},
	}
}

func attach(fd int, program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filters := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filters[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(filters)), Filter: &filters[0]})
}

// Next waits for the next TCP segment. It returns os.ErrClosed after Close, and
// the context's error when that ends first.
func (c *Capture) Next(ctx context.Context) (Segment, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		s, ok, err := c.read()
		switch {
		case err == nil:
		case c.closed.Load():
			return Segment{}, os.ErrClosed // a raw read says it in other words
		case ctx.Err() != nil:
			return Segment{}, ctx.Err()
		}
		if err != nil {
			return Segment{}, fmt.Errorf("capture: %w", err)
		}
		if ok {
			return s, nil
		}
	}
}

// read reads one frame.
func (c *Capture) read() (s Segment, ok bool, err error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return s, false, err
	}
	var n, oobn int
	var from unix.Sockaddr
	rerr := raw.Read(func(fd uintptr) bool {
		n, oobn, _, from, err = unix.Recvmsg(int(fd), c.buf[:], c.oob[:], 0)
		return !errors.Is(err, unix.EAGAIN)
	})
	switch {
	case rerr != nil:
		return s, false, rerr
	case errors.Is(err, unix.EINTR):
		return s, false, nil
	case err != nil:
		return s, false, err
	}
	if s, ok = Decode(c.buf[:n]); !ok {
		return s, false, nil
	}
	if ll, is := from.(*unix.SockaddrLinklayer); is {
		s.Interface, s.Outgoing = ll.Ifindex, ll.Pkttype == unix.PACKET_OUTGOING
	}
	s.At = stamp(c.oob[:oobn])
	return s, true, nil
}

// stamp finds the kernel's time stamp among control messages.
func stamp(oob []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Time{}
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		}
	}
	return time.Time{}
}

// Dropped returns how many frames the kernel had no room for since the last
// call.
func (c *Capture) Dropped() (int, error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var st *unix.TpacketStats
	cerr := raw.Control(func(fd uintptr) {
		st, err = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	})
	if err = errors.Join(cerr, err); err != nil {
		return 0, fmt.Errorf("capture: statistics: %w", err)
	}
	return int(st.Drops), nil
}

// Close ends the capture, and a Next that waits.
func (c *Capture) Close() error {
	c.closed.Store(true)
	return c.file.Close()
}
