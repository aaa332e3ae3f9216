package mptcpsock

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock/uapi"
)

// A Subflow is one TCP connection under a Multipath TCP connection.
type Subflow struct {
	// ID names the subflow for its life. It is the kernel's number if
	// IDKnown, which takes Linux 6.5, else one that this Conn has given it.
	ID      uapi.SubflowID
	IDKnown bool
	// Local and Remote are the two ends, IPv4 addresses unmapped.
	Local, Remote netip.AddrPort
	// TCP is the state of the TCP connection.
	TCP uapi.TCPInfo
}

// Pair returns the subflow's two ends.
func (s Subflow) Pair() Pair { return Pair{s.Local, s.Remote} }

// A Pair is the two ends of a subflow. Both are IPv4 or both IPv6; IPv4
// addresses are unmapped.
type Pair struct{ Local, Remote netip.AddrPort }

// String gives the pair as "192.0.2.1:5000 → 198.51.100.1:443".
func (p Pair) String() string { return fmt.Sprintf("%v → %v", p.Local, p.Remote) }

// ErrSubflowsChanging says that the subflows changed each time they were read:
// try again. It can happen on kernels without MPTCP_FULL_INFO only.
var ErrSubflowsChanging = errors.New("the subflows change faster than they can be read")

// Subflows returns the subflows, those included that are being opened or closed
// (TCP.State tells), in the kernel's order. It asks for MPTCP_FULL_INFO; Linux
// before 6.5 does not have it and is asked for MPTCP_SUBFLOW_ADDRS and
// MPTCP_TCPINFO, which leaves IDKnown false. After a fall-back the one TCP
// connection is returned, also with IDKnown false.
func (c *Conn) Subflows() ([]Subflow, error) {
	subflows, err := c.subflowsFullInfo()
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOPROTOOPT) {
		subflows, err = c.subflowsTwoCalls()
	}
	if errors.Is(err, ErrNotMultipath) {
		subflows, err = c.onlySubflow()
	}
	if err != nil {
		return nil, fmt.Errorf("mptcpsock: read the subflows: %w", err)
	}
	if len(subflows) > 0 && !subflows[0].IDKnown {
		c.numbers.number(subflows)
	}
	return subflows, nil
}

// fullInfoRoom is for how many subflows there is room at first: the kernel's
// own path manager makes 8 at most besides the initial one.
const fullInfoRoom = 16

// fullInfoBuffer holds an MPTCP_FULL_INFO answer and its two arrays.
type fullInfoBuffer struct {
	head     [uapi.FullInfoSize]byte
	infos    []byte
	tcpInfos []byte
}

var fullInfoBuffers = sync.Pool{New: func() any { return newFullInfoBuffer(fullInfoRoom) }}

func newFullInfoBuffer(room int) *fullInfoBuffer {
	return &fullInfoBuffer{
		infos:    make([]byte, room*uapi.SubflowInfoSize),
		tcpInfos: make([]byte, room*uapi.TCPInfoSize),
	}
}

func (b *fullInfoBuffer) room() int { return len(b.infos) / uapi.SubflowInfoSize }

// subflowsFullInfo reads all subflows in one call, as of one moment.
func (c *Conn) subflowsFullInfo() ([]Subflow, error) {
	b := fullInfoBuffers.Get().(*fullInfoBuffer)
	defer func() { fullInfoBuffers.Put(b) }()
	for {
		full, err := b.read(c)
		if err != nil {
			return nil, err
		}
		if full.Subflows <= b.room() {
			return b.subflows(full)
		}
		b = newFullInfoBuffer(full.Subflows + fullInfoRoom)
	}
}

// read asks the kernel. The request holds the addresses of the arrays as
// numbers, which the garbage collector does not see: they are pinned.
func (b *fullInfoBuffer) read(c *Conn) (uapi.FullInfo, error) {
	var pins runtime.Pinner
	defer pins.Unpin()
	infos, tcpInfos := unsafe.SliceData(b.infos), unsafe.SliceData(b.tcpInfos)
	pins.Pin(infos)
	pins.Pin(tcpInfos)
	uapi.FullInfoRequest{
		SubflowInfos: uintptr(unsafe.Pointer(infos)),
		TCPInfos:     uintptr(unsafe.Pointer(tcpInfos)),
		Subflows:     b.room(),
	}.Put(b.head[:])
	n, err := c.getsockopt(uapi.SolMPTCP, uapi.OptFullInfo, b.head[:])
	if err != nil {
		return uapi.FullInfo{}, err
	}
	return uapi.DecodeFullInfo(b.head[:n])
}

// subflows decodes the arrays.
func (b *fullInfoBuffer) subflows(full uapi.FullInfo) ([]Subflow, error) {
	subflows := make([]Subflow, 0, full.Subflows)
	for i := range full.Subflows {
		info, err := uapi.DecodeSubflowInfo(b.infos[i*full.SubflowInfoStep:][:full.SubflowInfoLen])
		if err != nil {
			return nil, err
		}
		tcp, err := uapi.DecodeTCPInfo(b.tcpInfos[i*full.TCPInfoStep:][:full.TCPInfoLen])
		if err != nil {
			return nil, err
		}
		subflows = append(subflows, Subflow{ID: info.ID, IDKnown: true, Local: info.Local, Remote: info.Remote, TCP: tcp})
	}
	return subflows, nil
}

// twoCallsTries bounds how often subflowsTwoCalls starts again.
const twoCallsTries = 8

// subflowsTwoCalls reads addresses and TCP states with one call each. They
// belong together if the addresses are still the same afterwards.
func (c *Conn) subflowsTwoCalls() ([]Subflow, error) {
	addrs, err := readArray(c, uapi.OptSubflowAddrs, uapi.SubflowAddrsSize, uapi.DecodeSubflowAddrs)
	for try := 0; err == nil && try < twoCallsTries; try++ {
		var tcp []uapi.TCPInfo
		var after []uapi.SubflowAddrs
		if tcp, err = readArray(c, uapi.OptTCPInfo, uapi.TCPInfoSize, uapi.DecodeTCPInfo); err != nil {
			break
		}
		if after, err = readArray(c, uapi.OptSubflowAddrs, uapi.SubflowAddrsSize, uapi.DecodeSubflowAddrs); err != nil {
			break
		}
		if len(tcp) == len(addrs) && slices.Equal(addrs, after) {
			return zip(addrs, tcp), nil
		}
		addrs = after
	}
	if err != nil {
		return nil, err
	}
	return nil, ErrSubflowsChanging
}

func zip(addrs []uapi.SubflowAddrs, tcp []uapi.TCPInfo) []Subflow {
	subflows := make([]Subflow, len(addrs))
	for i, a := range addrs {
		subflows[i] = Subflow{Local: a.Local, Remote: a.Remote, TCP: tcp[i]}
	}
	return subflows
}

// readArray reads an option that is an array with one element for each subflow.
func readArray[T any](c *Conn, option, size int, decode func([]byte) (T, error)) ([]T, error) {
	for room := fullInfoRoom; ; {
		b := make([]byte, uapi.SubflowDataSize+room*size)
		uapi.PutSubflowDataRequest(b, size)
		n, err := c.getsockopt(uapi.SolMPTCP, option, b)
		if err != nil {
			return nil, err
		}
		array, err := uapi.DecodeSubflowArray(b[:n])
		if err != nil {
			return nil, err
		}
		if array.Total > room {
			room = array.Total + fullInfoRoom
			continue
		}
		return decodeAll(array.Elements, decode)
	}
}

func decodeAll[T any](elements [][]byte, decode func([]byte) (T, error)) ([]T, error) {
	all := make([]T, len(elements))
	for i, e := range elements {
		var err error
		if all[i], err = decode(e); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// onlySubflow describes a plain TCP connection.
func (c *Conn) onlySubflow() ([]Subflow, error) {
	var b [uapi.TCPInfoSize]byte
	n, err := c.getsockopt(unix.IPPROTO_TCP, unix.TCP_INFO, b[:])
	if err != nil {
		return nil, fmt.Errorf("mptcpsock: read TCP_INFO: %w", err)
	}
	tcp, err := uapi.DecodeTCPInfo(b[:n])
	if err != nil {
		return nil, fmt.Errorf("mptcpsock: TCP_INFO: %w", err)
	}
	return []Subflow{{Local: c.LocalAddrPort(), Remote: c.RemoteAddrPort(), TCP: tcp}}, nil
}

// firstSubflowID is the number of the initial subflow, the kernel's and ours.
const firstSubflowID uapi.SubflowID = 1

// numbering gives subflows ids where the kernel gives none, Linux before 6.5:
// the next number to each pair of ends when it is first seen. A pair that was
// away for a reading is another subflow. The kernel too counts from the initial
// subflow, so that both number most connections alike.
type numbering struct {
	mu   sync.Mutex
	ids  map[Pair]uapi.SubflowID
	next uapi.SubflowID
}

// number sets the ids of a reading, which holds all subflows.
func (n *numbering) number(subflows []Subflow) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := make(map[Pair]uapi.SubflowID, len(subflows))
	for i := range subflows {
		p := subflows[i].Pair()
		id, known := n.ids[p]
		if !known {
			id = firstSubflowID + n.next
			n.next++
		}
		now[p], subflows[i].ID = id, id
	}
	n.ids = now
}
