package subdiag

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRead asks for a TCP connection whose options are known.
func TestRead(t *testing.T) {
	for _, on := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(on, func(t *testing.T) {
			l, err := net.Listen("tcp", on)
			must(t, err)
			defer l.Close()
			c, err := net.Dial("tcp", l.Addr().String())
			must(t, err)
			defer c.Close()
			var congestion string
			rc, err := c.(*net.TCPConn).SyscallConn()
			must(t, err)
			must(t, rc.Control(func(fd uintptr) {
				must(t, unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, 0x28))
				must(t, unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
				congestion, err = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
				must(t, err)
			}))
			local, remote := c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
			r, err := Read(t.Context(), local, remote)
			must(t, err)
			if r.Congestion != congestion || r.TOS != 0x28 {
				t.Errorf("got %+v, want congestion control %s and TOS 0x28", r, congestion)
			}
			_, err = Read(t.Context(), netip.AddrPortFrom(local.Addr(), 1), remote)
			if !errors.Is(err, ErrNoSocket) {
				t.Errorf("a socket that is none: %v", err)
			}
		})
	}
	if _, err := Read(t.Context(), netip.AddrPort{}, netip.AddrPort{}); !errors.Is(err, ErrNoSocket) {
		t.Errorf("no ends: %v", err)
	}
}

// TestReadSubflow: the kernel tells that a socket belongs to Multipath TCP.
func TestReadSubflow(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("older kernels tell it only to root")
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(true)
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	var d net.Dialer
	d.SetMultipathTCP(true)
	c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	must(t, err)
	defer c.Close()
	if multipath, err := c.(*net.TCPConn).MultipathTCP(); err != nil || !multipath {
		t.Skip("no Multipath TCP here: ", err)
	}
	conn, err := Open()
	must(t, err)
	local, remote := c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
	for range 2 {
		r, err := conn.Read(t.Context(), local, remote)
		must(t, err)
		if !r.Subflow || r.Backup || r.PeerBackup || r.Device != 0 {
			t.Errorf("got %+v, want a subflow that is no backup", r)
		}
	}
	must(t, conn.Close())
	must(t, conn.Close())
	if _, err := conn.Read(t.Context(), local, remote); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is a datagram of the kernel.
func answer(kind uint16, sequence uint32, body []byte) []byte {
	b := make([]byte, headerSize, headerSize+len(body))
	binary.NativeEndian.PutUint32(b, uint32(headerSize+len(body)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint32(b[8:], sequence)
	return append(b, body...)
}

func attribute(kind uint16, value ...byte) []byte {
	b := make([]byte, 4, align(4+len(value)))
	binary.NativeEndian.PutUint16(b, uint16(4+len(value)))
	binary.NativeEndian.PutUint16(b[2:], kind)
	return append(b, value...)[:cap(b)]
}

func TestDecode(t *testing.T) {
	attributes := append(attribute(attrCongestion, 'r', 'e', 'n', 'o', 0), attribute(attrTOS, 0x28)...)
	attributes = append(attributes, attribute(attrMark, 0, 0, 0, 0)...)
	good := append(make([]byte, messageSize), attributes...)
	subflow := func(flags byte) []byte {
		flagged := attribute(attrULPMPTCP, attribute(attrSubflowFlags, flags, 1, 0, 0)...)
		return append(make([]byte, messageSize), attribute(attrULP, append(attribute(1, 'm', 0), flagged...)...)...)
	}
	bound := append(make([]byte, messageSize), attributes...)
	binary.NativeEndian.PutUint32(bound[deviceAt:], 7)
	refusal := binary.NativeEndian.AppendUint32(nil, 0xffffffff-uint32(unix.ENOENT)+1)
	for _, tt := range []struct {
		name string
		in   []byte
		want Result
		err  error
	}{
		{"good", answer(unix.SOCK_DIAG_BY_FAMILY, 1, good), Result{Congestion: "reno", TOS: 0x28, MarkKnown: true}, nil},
		{"behind another", append(answer(unix.SOCK_DIAG_BY_FAMILY, 7, nil), answer(unix.SOCK_DIAG_BY_FAMILY, 1, good)...), Result{Congestion: "reno", TOS: 0x28, MarkKnown: true}, nil},
		{"bound to an interface", answer(unix.SOCK_DIAG_BY_FAMILY, 1, bound), Result{Congestion: "reno", TOS: 0x28, MarkKnown: true, Device: 7}, nil},
		{"subflow", answer(unix.SOCK_DIAG_BY_FAMILY, 1, subflow(0x48)), Result{Subflow: true}, nil},
		{"subflow that we want as backup", answer(unix.SOCK_DIAG_BY_FAMILY, 1, subflow(0x20)), Result{Subflow: true, Backup: true}, nil},
		{"subflow that the peer wants as backup", answer(unix.SOCK_DIAG_BY_FAMILY, 1, subflow(0x10)), Result{Subflow: true, PeerBackup: true}, nil},
		{"subflow, cut short", answer(unix.SOCK_DIAG_BY_FAMILY, 1, append(make([]byte, messageSize), attribute(attrULP, 9, 0, 4, 0)...)), Result{}, errMalformed},
		{"no socket", answer(unix.NLMSG_ERROR, 1, refusal), Result{}, ErrNoSocket},
		{"empty", nil, Result{}, errMalformed},
		{"short", answer(unix.SOCK_DIAG_BY_FAMILY, 1, good[:10]), Result{}, errMalformed},
		{"short error", answer(unix.NLMSG_ERROR, 1, nil), Result{}, errMalformed},
		{"attribute beyond the end", answer(unix.SOCK_DIAG_BY_FAMILY, 1, append(good, 9, 0, 4, 0)), Result{}, errMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodeAnswer(tt.in, 1)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %+v, %v, want %+v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(answer(unix.SOCK_DIAG_BY_FAMILY, 1, append(make([]byte, messageSize), attribute(attrCongestion, 'b', 'b', 'r', 0)...)))
	f.Add(answer(unix.NLMSG_ERROR, 1, []byte{1, 2, 3, 4}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeAnswer(b, 1)
		if err != nil && r != (Result{}) {
			t.Errorf("both %+v and %v", r, err)
		}
	})
}
