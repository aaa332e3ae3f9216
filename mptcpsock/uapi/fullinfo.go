package uapi

import "unsafe"

// fullInfoHeader is where the mptcp_info of struct mptcp_full_info begins.
const fullInfoHeader = int(unsafe.Sizeof(rawFullInfo{}))

// A FullInfoRequest is what MPTCP_FULL_INFO is asked for (Linux 6.5).
type FullInfoRequest struct {
	// SubflowInfos and TCPInfos are the addresses of two arrays of
	// Subflows elements, of SubflowInfoSize and TCPInfoSize bytes each. The
	// caller keeps them where they are until the kernel has answered.
	SubflowInfos, TCPInfos uintptr
	// Subflows is for how many subflows there is room.
	Subflows int
}

// Put writes the request. b holds FullInfoSize bytes, all of which are
// handed to the kernel; Put panics when it is shorter.
func (q FullInfoRequest) Put(b []byte) {
	clear(b[:FullInfoSize])
	r := rawFullInfo{
		SizeTCPInfoUser: uint32(TCPInfoSize),
		SizeSFInfoUser:  uint32(SubflowInfoSize),
		SizeArraysUser:  uint32(q.Subflows),
		SubflowInfo:     uint64(q.SubflowInfos),
		TCPInfo:         uint64(q.TCPInfos),
	}
	copy(b, bytesOf(&r))
}

// FullInfo is the answer to MPTCP_FULL_INFO: struct mptcp_full_info.
type FullInfo struct {
	Info Info
	// Subflows is how many subflows the connection has: more than were
	// asked for when the arrays were too small.
	Subflows int
	// SubflowInfoStep and TCPInfoStep are the distances between two
	// elements of the arrays in bytes, SubflowInfoLen and TCPInfoLen how
	// many bytes of each element the kernel filled.
	SubflowInfoStep, SubflowInfoLen int
	TCPInfoStep, TCPInfoLen         int
}

// DecodeFullInfo decodes struct mptcp_full_info. The error is a *ShortError or
// a *HeaderError.
func DecodeFullInfo(b []byte) (FullInfo, error) {
	if len(b) < fullInfoHeader+infoMin {
		return FullInfo{}, &ShortError{Struct: "mptcp_full_info", Len: len(b), Min: fullInfoHeader + infoMin}
	}
	info, err := DecodeInfo(b[fullInfoHeader:])
	if err != nil {
		return FullInfo{}, err
	}
	r := overlay[rawFullInfo](b)
	// The kernel lowers what it was asked for to what it knows, and steps
	// through the arrays by the lowered size.
	for _, f := range []struct {
		name  string
		value uint32
		most  int
	}{
		{"size_tcpinfo_user", r.SizeTCPInfoUser, TCPInfoSize},
		{"size_sfinfo_user", r.SizeSFInfoUser, SubflowInfoSize},
		{"num_subflows", r.NumSubflows, maxSubflows},
	} {
		if uint64(f.value) > uint64(f.most) {
			return FullInfo{}, &HeaderError{Struct: "mptcp_full_info", Field: f.name, Value: f.value}
		}
	}
	return FullInfo{
		Info:            info,
		Subflows:        int(r.NumSubflows),
		SubflowInfoStep: int(r.SizeSFInfoUser),
		SubflowInfoLen:  int(min(r.SizeSFInfoUser, r.SizeSFInfoKernel)),
		TCPInfoStep:     int(r.SizeTCPInfoUser),
		TCPInfoLen:      int(min(r.SizeTCPInfoUser, r.SizeTCPInfoKernel)),
	}, nil
}

// maxSubflows bounds what is believed of a kernel's answer; the kernel counts
// the subflows of a connection in eight bits and closing ones for a moment on
// top.
const maxSubflows = 1 << 12
