package subopt

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"mpproxy/internal/bpfenv"
)

// ends are the two ends of a subflow in one form for all kinds of sockets, as
// the programs and we compare them. IPv4 is mapped into IPv6 (RFC 4291 section
// 2.5.5.2).
//
//	0  local address, 16 bytes
//	16 remote address, 16 bytes
//	32 local port, 2 bytes, host order
//	34 remote port, 2 bytes, network order
//	36 1 where it runs over IPv6, 4 bytes, host order
type ends [endsSize]byte

const (
	endsLocal      = 0
	endsRemote     = 16
	endsLocalPort  = 32
	endsRemotePort = 34
	endsIPv6       = 36
	endsSize       = 40
)

// endsOf returns the ends of a subflow. The error matches ErrInvalid.
func endsOf(local, remote netip.AddrPort) (e ends, ipv6 bool, err error) {
	l, r := local.Addr().Unmap(), remote.Addr().Unmap()
	if !l.IsValid() || !r.IsValid() || l.Is4() != r.Is4() || local.Port() == 0 || remote.Port() == 0 {
		return ends{}, false, fmt.Errorf("%w: want two addresses of one family, with ports", ErrInvalid)
	}
	e.set(local, remote)
	e.setIPv6(r.Is6())
	return e, r.Is6(), nil
}

func (e *ends) set(local, remote netip.AddrPort) {
	l, r := local.Addr().As16(), remote.Addr().As16()
	copy(e[endsLocal:], l[:])
	copy(e[endsRemote:], r[:])
	binary.NativeEndian.PutUint16(e[endsLocalPort:], local.Port())
	binary.BigEndian.PutUint16(e[endsRemotePort:], remote.Port())
}

func (e *ends) setIPv6(ipv6 bool) {
	var n uint32
	if ipv6 {
		n = 1
	}
	binary.NativeEndian.PutUint32(e[endsIPv6:], n)
}

// mapped are bytes 8 to 11 of an IPv4 address that is mapped into IPv6, as a
// word of this machine's byte order.
var mapped = int32(binary.NativeEndian.Uint32([]byte{0, 0, 0xff, 0xff}))

// copied is an address of the kernel's, and where it goes.
type copied struct {
	from bpfenv.Field
	to   int16
}

// fillEnds writes the ends of the struct tcp_sock in R7 to the stack, at. It uses
// R1 and R2, and goes on after its last instruction.
func (f fields) fillEnds(at int16) asm.Instructions {
	ins := asm.Instructions{
		f.family.Load(asm.R1, asm.R7),
		asm.JEq.Imm(asm.R1, unix.AF_INET6, "ends6"),
	}
	for _, a := range []copied{{f.local4, endsLocal}, {f.remote4, endsRemote}} {
		ins = append(ins,
			asm.Mov.Imm(asm.R1, 0),
			asm.StoreMem(asm.RFP, at+a.to, asm.R1, asm.DWord),
			asm.StoreImm(asm.RFP, at+a.to+8, int64(mapped), asm.Word),
			a.from.Load(asm.R1, asm.R7),
			asm.StoreMem(asm.RFP, at+a.to+12, asm.R1, asm.Word),
		)
	}
	ins = append(ins, asm.Ja.Label("ends"))
	var six asm.Instructions
	for _, a := range []copied{{f.local6, endsLocal}, {f.remote6, endsRemote}} {
		for word := int16(0); word < 16; word += 4 {
			six = append(six,
				asm.LoadMem(asm.R1, asm.R7, a.from.Offset+word, asm.Word),
				asm.StoreMem(asm.RFP, at+a.to+word, asm.R1, asm.Word),
			)
		}
	}
	six[0] = six[0].WithSymbol("ends6")
	ins = append(ins, six...)
	return append(ins,
		f.localPort.Load(asm.R1, asm.R7).WithSymbol("ends"),
		asm.StoreMem(asm.RFP, at+endsLocalPort, asm.R1, asm.Half),
		f.remotePort.Load(asm.R1, asm.R7),
		asm.StoreMem(asm.RFP, at+endsRemotePort, asm.R1, asm.Half),
		asm.Mov.Imm(asm.R2, 1),
		asm.LoadMem(asm.R1, asm.RFP, at+endsRemote, asm.DWord),
		asm.JNE.Imm(asm.R1, 0, "family"),
		asm.LoadMem(asm.R1, asm.RFP, at+endsRemote+8, asm.Word),
		asm.JNE.Imm32(asm.R1, mapped, "family"),
		asm.Mov.Imm(asm.R2, 0),
		asm.StoreMem(asm.RFP, at+endsIPv6, asm.R2, asm.Word).WithSymbol("family"),
	)
}
