package uapi

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A blob is built from the kernel's offsets, not from our structures.
type blob []byte

func (b blob) u8(off int, v uint8) blob   { b[off] = v; return b }
func (b blob) u16(off int, v uint16) blob { binary.NativeEndian.PutUint16(b[off:], v); return b }
func (b blob) be16(off int, v uint16) blob {
	binary.BigEndian.PutUint16(b[off:], v)
	return b
}
func (b blob) u32(off int, v uint32) blob { binary.NativeEndian.PutUint32(b[off:], v); return b }
func (b blob) u64(off int, v uint64) blob { binary.NativeEndian.PutUint64(b[off:], v); return b }
func (b blob) addr(off int, a string) blob {
	copy(b[off:], netip.MustParseAddr(a).AsSlice())
	return b
}

// infoBlob is struct mptcp_info of Linux 6.18.
func infoBlob() blob {
	return make(blob, 96).
		u8(0, 1).u8(1, 2).u8(2, 3).u8(3, 8).u8(4, 5).u8(5, 6).
		u32(8, 2).u32(12, 0xc8e1fa3c).
		u64(16, 1<<63+1).u64(24, 1<<63).u64(32, 77).
		u8(40, 4).u8(41, 7).u8(42, 1).
		u32(44, 9).u64(48, 10).u64(56, 1000).u64(64, 2000).u64(72, 900).
		u8(80, 2).u8(81, 1).
		u32(84, 11).u32(88, 12).u32(92, 13)
}

func TestDecodeInfo(t *testing.T) {
	linux61 := Info{
		Token: 0xc8e1fa3c, Flags: InfoRemoteKeyReceived,
		Subflows: 1, SubflowsMax: 8,
		AddAddrSignal: 2, AddAddrSignalMax: 5, AddAddrAccepted: 3, AddAddrAcceptedMax: 6,
		LocalAddrUsed: 4, LocalAddrMax: 7, Checksum: true,
		WriteSeq: 1<<63 + 1, SndUna: 1 << 63, RcvNxt: 77,
	}
	linux65 := linux61
	linux65.CountersKnown = true
	linux65.Retransmits = 9
	linux65.BytesSent, linux65.BytesRetrans, linux65.BytesReceived, linux65.BytesAcked = 1000, 10, 2000, 900
	linux68 := linux65
	linux68.SubflowsTotalKnown, linux68.SubflowsTotal = true, 2
	linux610 := linux68
	linux610.LastTimesKnown = true
	linux610.LastDataSent = 11 * time.Millisecond
	linux610.LastDataReceived = 12 * time.Millisecond
	linux610.LastAckReceived = 13 * time.Millisecond
	for _, tt := range []struct {
		name string
		in   []byte
		want Info
	}{
		{"6.1", infoBlob()[:48], linux61},
		{"6.5", infoBlob()[:80], linux65},
		{"6.8", infoBlob()[:88], linux68},
		{"6.10", infoBlob(), linux610},
		{"later", append(infoBlob(), 1, 2, 3, 4, 5, 6, 7, 8), linux610},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeInfo(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// tcpInfoBlob is struct tcp_info of Linux 6.18.
func tcpInfoBlob() blob {
	b := make(blob, 280).
		u8(0, 1).u8(1, 4).u8(2, 2).u8(3, 3).u8(4, 5).
		u32(8, 200_000).u32(16, 1460).u32(20, 536).
		u32(24, 21).u32(28, 22).u32(32, 23).u32(36, 24).
		u32(44, 31).u32(52, 32).u32(56, 33).
		u32(60, 1500).u32(68, 41).u32(72, 42).u32(76, math.MaxInt32).u32(80, 10).u32(88, 3).
		u32(92, 43).u32(100, 51).
		u64(104, math.MaxUint64).u64(120, 61).u64(128, 62).
		u32(136, 71).u32(140, 72).u32(144, 73).u32(148, 44).u32(152, 74).u32(156, 75).
		u64(160, 1<<40).u64(168, 81).u64(176, 82).u64(184, 83).
		u32(192, 55).u64(200, 63).u64(208, 64).u32(216, 52).
		u32(228, 91).u32(232, 92).u32(236, 93).
		u16(240, 94).u16(242, 95).u32(244, 96)
	return b.u8(7, appLimitedBit)
}

func TestDecodeTCPInfo(t *testing.T) {
	linux61 := TCPInfo{
		State: TCPEstablished, CAState: CALoss,
		RTT: 41 * time.Microsecond, RTTVar: 42 * time.Microsecond, RcvRTT: 43 * time.Microsecond, MinRTT: 44 * time.Microsecond,
		RTO: 200 * time.Millisecond, Retransmits: 2, Probes: 3, Backoff: 5,
		Unacked: 21, Sacked: 22, Lost: 23, Retrans: 24, TotalRetrans: 51, DsackDups: 52, Delivered: 55,
		SndCwnd: 10, SndSsthresh: math.MaxInt32, SndMSS: 1460, RcvMSS: 536, PMTU: 1500, Reordering: 3,
		LastDataSent: 31 * time.Millisecond, LastDataReceived: 32 * time.Millisecond, LastAckReceived: 33 * time.Millisecond,
		PacingRate: math.MaxUint64, DeliveryRate: 1 << 40, AppLimited: true,
		BytesSent: 63, BytesRetrans: 64, BytesAcked: 61, BytesReceived: 62, NotsentBytes: 73,
		SegsOut: 71, SegsIn: 72, DataSegsOut: 75, DataSegsIn: 74,
		BusyTime: 81 * time.Microsecond, RwndLimited: 82 * time.Microsecond, SndbufLimited: 83 * time.Microsecond,
		SndWnd: 91,
	}
	linux62 := linux61
	linux62.RcvWndKnown, linux62.RcvWnd, linux62.Rehash = true, 92, 93
	linux67 := linux62
	linux67.TimeoutsKnown, linux67.TotalRTO, linux67.TotalRTORecoveries = true, 94, 95
	linux67.TotalRTOTime = 96 * time.Millisecond
	noSample := linux61
	noSample.MinRTT, noSample.AppLimited = 0, false
	long := linux67
	long.BusyTime = math.MaxInt64 / 1000 * time.Microsecond
	for _, tt := range []struct {
		name string
		in   []byte
		want TCPInfo
	}{
		{"6.1", tcpInfoBlob()[:232], linux61},
		{"6.2", tcpInfoBlob()[:240], linux62},
		{"6.7", tcpInfoBlob()[:248], linux67},
		{"6.18", tcpInfoBlob(), linux67},
		{"no RTT sample", tcpInfoBlob().u32(148, math.MaxUint32).u8(7, ^appLimitedBit)[:232], noSample},
		{"time beyond time.Duration", tcpInfoBlob().u64(168, math.MaxUint64), long},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeTCPInfo(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// addrsBlob is struct mptcp_subflow_addrs, from offset off of b.
func putAddrs(b blob, off int, local, remote netip.AddrPort) blob {
	for i, a := range []netip.AddrPort{local, remote} {
		at := off + i*128
		b.be16(at+2, a.Port())
		if a.Addr().Is4() {
			b.u16(at, 2).addr(at+4, a.Addr().String())
		} else {
			b.u16(at, 10).addr(at+8, a.Addr().String())
		}
	}
	return b
}

func TestDecodeSubflowAddrs(t *testing.T) {
	v4 := SubflowAddrs{Local: netip.MustParseAddrPort("192.0.2.1:4321"), Remote: netip.MustParseAddrPort("198.51.100.2:443")}
	for _, tt := range []struct {
		name          string
		local, remote string
		want          SubflowAddrs
	}{
		{"IPv4", "192.0.2.1:4321", "198.51.100.2:443", v4},
		{"IPv4-mapped", "[::ffff:192.0.2.1]:4321", "[::ffff:198.51.100.2]:443", v4},
		{"IPv6", "[2001:db8::1]:4321", "[2001:db8::2]:443", SubflowAddrs{
			Local:  netip.MustParseAddrPort("[2001:db8::1]:4321"),
			Remote: netip.MustParseAddrPort("[2001:db8::2]:443"),
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := putAddrs(make(blob, 256), 0, netip.MustParseAddrPort(tt.local), netip.MustParseAddrPort(tt.remote))
			got, err := DecodeSubflowAddrs(b)
			if err != nil || got != tt.want {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
			info, err := DecodeSubflowInfo(append(make(blob, 8).u32(0, 7), b...))
			if want := (SubflowInfo{ID: 7, SubflowAddrs: tt.want}); err != nil || info != want {
				t.Errorf("got %v, %v, want %v", info, err, want)
			}
		})
	}
}

func TestDecodeSubflowArray(t *testing.T) {
	header := func(size, n, kernel, user uint32) blob {
		return make(blob, 16).u32(0, size).u32(4, n).u32(8, kernel).u32(12, user)
	}
	for _, tt := range []struct {
		name string
		in   []byte
		want SubflowArray
	}{
		{"none", header(16, 0, 4, 4), SubflowArray{}},
		{"two", append(header(16, 2, 4, 4), 1, 2, 3, 4, 5, 6, 7, 8), SubflowArray{Total: 2, Elements: [][]byte{{1, 2, 3, 4}, {5, 6, 7, 8}}}},
		{"room for one of three", append(header(16, 3, 4, 4), 1, 2, 3, 4, 5), SubflowArray{Total: 3, Elements: [][]byte{{1, 2, 3, 4}}}},
		{"kernel fills less than the step", append(header(16, 1, 2, 4), 1, 2, 3, 4), SubflowArray{Total: 1, Elements: [][]byte{{1, 2}}}},
		{"longer header", append(header(18, 1, 2, 2), 0, 0, 1, 2), SubflowArray{Total: 1, Elements: [][]byte{{1, 2}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeSubflowArray(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, b := range map[string][]byte{
		"header larger than the answer": header(17, 1, 4, 4),
		"header too small":              header(15, 0, 4, 4),
		"elements of no size":           header(16, 1, 4, 0),
	} {
		var want *HeaderError
		if got, err := DecodeSubflowArray(b); !errors.As(err, &want) {
			t.Errorf("%s: got %v, %v, want a HeaderError", name, got, err)
		}
	}
}

func TestPutSubflowDataRequest(t *testing.T) {
	got := make(blob, 16)
	PutSubflowDataRequest(got, 248)
	want := make(blob, 16).u32(0, 16).u32(12, 248)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFullInfo(t *testing.T) {
	got := make(blob, FullInfoSize+1)
	for i := range got {
		got[i] = 0xff
	}
	FullInfoRequest{SubflowInfos: 0x1000, TCPInfos: 0x2000, Subflows: 16}.Put(got)
	want := make(blob, FullInfoSize+1).u32(4, uint32(TCPInfoSize)).u32(12, 264).u32(20, 16).u64(24, 0x1000).u64(32, 0x2000).u8(FullInfoSize, 0xff)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}

	answer := append(want[:40:40], infoBlob()...).u32(0, 280).u32(8, 264).u32(16, 3)
	info, err := DecodeInfo(infoBlob())
	if err != nil {
		t.Fatal(err)
	}
	full, err := DecodeFullInfo(answer)
	if err != nil {
		t.Fatal(err)
	}
	wantFull := FullInfo{
		Info: info, Subflows: 3,
		SubflowInfoStep: 264, SubflowInfoLen: 264,
		TCPInfoStep: TCPInfoSize, TCPInfoLen: TCPInfoSize,
	}
	if diff := cmp.Diff(wantFull, full); diff != "" {
		t.Error(diff)
	}
	for name, b := range map[string][]byte{
		"tcp_info larger than asked for":     blob(append([]byte(nil), answer...)).u32(4, uint32(TCPInfoSize)+1),
		"subflow_info larger than asked for": blob(append([]byte(nil), answer...)).u32(12, 265),
		"more subflows than there can be":    blob(append([]byte(nil), answer...)).u32(16, math.MaxUint32),
	} {
		var want *HeaderError
		if got, err := DecodeFullInfo(b); !errors.As(err, &want) {
			t.Errorf("%s: got %v, %v, want a HeaderError", name, got, err)
		}
	}
}

func TestCutOff(t *testing.T) {
	full := append(make(blob, 40), infoBlob()...)
	for _, tt := range []struct {
		name   string
		in     []byte
		min    int
		decode func([]byte) error
	}{
		{"mptcp_info", infoBlob(), 40, func(b []byte) error { _, err := DecodeInfo(b); return err }},
		{"tcp_info", tcpInfoBlob(), 232, func(b []byte) error { _, err := DecodeTCPInfo(b); return err }},
		{"mptcp_subflow_addrs", make([]byte, 256), 156, func(b []byte) error { _, err := DecodeSubflowAddrs(b); return err }},
		{"mptcp_subflow_info", make([]byte, 264), 164, func(b []byte) error { _, err := DecodeSubflowInfo(b); return err }},
		{"mptcp_subflow_data", make([]byte, 16), 16, func(b []byte) error { _, err := DecodeSubflowArray(b); return err }},
		{"mptcp_full_info", full, 80, func(b []byte) error { _, err := DecodeFullInfo(b); return err }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for n := range tt.in {
				err := tt.decode(tt.in[:n])
				var short *ShortError
				if got := errors.As(err, &short); got != (n < tt.min) {
					t.Fatalf("%d bytes: %v", n, err)
				}
				if short != nil && *short != (ShortError{Struct: tt.name, Len: n, Min: tt.min}) {
					t.Fatalf("%d bytes: %+v", n, *short)
				}
			}
		})
	}
	var family *FamilyError
	if _, err := DecodeSubflowAddrs(make([]byte, 256)); !errors.As(err, &family) || family.Family != 0 {
		t.Errorf("no family: %v", err)
	}
}

func TestStrings(t *testing.T) {
	for _, tt := range []struct {
		got  interface{ String() string }
		want string
	}{
		{Token(0xab), "0x000000ab"},
		{Token(0xc8e1fa3c), "0xc8e1fa3c"},
		{InfoFlags(0), "0"},
		{InfoFallback | InfoRemoteKeyReceived, "fallback|remote-key-received"},
		{TCPEstablished, "ESTABLISHED"},
		{TCPNewSynRecv, "NEW-SYN-RECEIVED"},
		{TCPState(0), "TCPState(0)"},
		{TCPState(200), "TCPState(200)"},
		{CALoss, "loss"},
		{CAState(5), "CAState(5)"},
	} {
		if got := tt.got.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
