package uapi

import (
	"encoding/binary"
	"net/netip"
	"unsafe"
)

// SubflowAddrs are the two ends of a subflow: struct mptcp_subflow_addrs. An
// IPv4 subflow has IPv4 addresses here also when its connection is an AF_INET6
// socket, where the kernel reports IPv4-mapped ones. Link-local addresses carry
// no zone: the kernel does not report one.
type SubflowAddrs struct {
	Local, Remote netip.AddrPort
}

// subflowAddrsMin is how much of the structure holds addresses: the rest of the
// second sockaddr_storage is padding.
const subflowAddrsMin = int(unsafe.Offsetof(rawSubflowAddrs{}.Remote)) + 28 // sizeof(struct sockaddr_in6)

// DecodeSubflowAddrs decodes struct mptcp_subflow_addrs. The error is a
// *ShortError or a *FamilyError.
func DecodeSubflowAddrs(b []byte) (SubflowAddrs, error) {
	if len(b) < subflowAddrsMin {
		return SubflowAddrs{}, &ShortError{Struct: "mptcp_subflow_addrs", Len: len(b), Min: subflowAddrsMin}
	}
	r := overlay[rawSubflowAddrs](b)
	return r.addrs()
}

func (r *rawSubflowAddrs) addrs() (SubflowAddrs, error) {
	local, err := r.Local.addrPort()
	if err != nil {
		return SubflowAddrs{}, err
	}
	remote, err := r.Remote.addrPort()
	if err != nil {
		return SubflowAddrs{}, err
	}
	return SubflowAddrs{Local: local, Remote: remote}, nil
}

// Address families of Linux, include/linux/socket.h: the same on every
// architecture.
const (
	afINET  = 2
	afINET6 = 10
)

func (s *rawSockaddr) addrPort() (netip.AddrPort, error) {
	port := binary.BigEndian.Uint16(s.Port[:])
	switch s.Family {
	case afINET:
		return netip.AddrPortFrom(netip.AddrFrom4(s.Addr4), port), nil
	case afINET6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.Addr6).Unmap(), port), nil
	}
	return netip.AddrPort{}, &FamilyError{Family: s.Family}
}

// SubflowInfo is one element of the first array of MPTCP_FULL_INFO: struct
// mptcp_subflow_info.
type SubflowInfo struct {
	ID SubflowID
	SubflowAddrs
}

const subflowInfoMin = int(unsafe.Offsetof(rawSubflowInfo{}.Addrs)) + subflowAddrsMin

// DecodeSubflowInfo decodes struct mptcp_subflow_info. The error is a
// *ShortError or a *FamilyError.
func DecodeSubflowInfo(b []byte) (SubflowInfo, error) {
	if len(b) < subflowInfoMin {
		return SubflowInfo{}, &ShortError{Struct: "mptcp_subflow_info", Len: len(b), Min: subflowInfoMin}
	}
	r := overlay[rawSubflowInfo](b)
	addrs, err := r.Addrs.addrs()
	return SubflowInfo{ID: SubflowID(r.ID), SubflowAddrs: addrs}, err
}

// PutSubflowDataRequest writes the struct mptcp_subflow_data that asks
// MPTCP_TCPINFO or MPTCP_SUBFLOW_ADDRS for elements of elementSize bytes. The
// kernel puts them behind it, at offset SubflowDataSize. b holds
// SubflowDataSize bytes at least; it panics otherwise.
func PutSubflowDataRequest(b []byte, elementSize int) {
	r := rawSubflowData{SizeSubflowData: uint32(SubflowDataSize), SizeUser: uint32(elementSize)}
	copy(b[:SubflowDataSize], bytesOf(&r))
}

// A SubflowArray is the answer to MPTCP_TCPINFO or MPTCP_SUBFLOW_ADDRS.
type SubflowArray struct {
	// Total is how many subflows the connection has: more than there are
	// elements when the buffer was too small.
	Total int
	// Elements are the structures, one for each subflow, in the kernel's
	// order. They share the memory of the decoded bytes.
	Elements [][]byte
}

// DecodeSubflowArray takes the answer to MPTCP_TCPINFO or MPTCP_SUBFLOW_ADDRS
// apart. Each element is as long as the kernel filled it. The error is a
// *ShortError or a *HeaderError.
func DecodeSubflowArray(b []byte) (SubflowArray, error) {
	if len(b) < SubflowDataSize {
		return SubflowArray{}, &ShortError{Struct: "mptcp_subflow_data", Len: len(b), Min: SubflowDataSize}
	}
	r := overlay[rawSubflowData](b)
	if r.SizeSubflowData < uint32(SubflowDataSize) || uint64(r.SizeSubflowData) > uint64(len(b)) {
		return SubflowArray{}, &HeaderError{Struct: "mptcp_subflow_data", Field: "size_subflow_data", Value: r.SizeSubflowData}
	}
	data := b[r.SizeSubflowData:]
	filled := min(r.SizeUser, r.SizeKernel)
	if filled == 0 && r.NumSubflows > 0 {
		return SubflowArray{}, &HeaderError{Struct: "mptcp_subflow_data", Field: "size_user", Value: r.SizeUser}
	}
	a := SubflowArray{Total: int(r.NumSubflows)}
	for i := uint32(0); i < r.NumSubflows && uint64(len(data)) >= uint64(r.SizeUser); i++ {
		a.Elements = append(a.Elements, data[:filled:filled])
		data = data[r.SizeUser:]
	}
	return a, nil
}
