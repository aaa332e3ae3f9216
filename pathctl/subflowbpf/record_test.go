package subflowbpf

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"mpproxy/mptcpsock/uapi"
)

const testTick = 4 * time.Millisecond

var testNow = monotonic{ns: 5_000_000_000, at: time.Unix(1_000, 0)}

// testRecord is a record with the given words set, by offset.
func testRecord(words map[int]uint32) []byte {
	b := make([]byte, recordSize)
	binary.NativeEndian.PutUint64(b[recTime:], testNow.ns-1_000_000)
	for at, v := range map[int]uint32{
		recToken: 0x01020304, recFamily: unix.AF_INET, recState: 1,
		recRTO: 53, recRetransmits: 2, recSRTT: 10_001 << 3, recCwnd: 10, recPacketsOut: 4,
		recRetransOut: 3, recTotal: 7, recLostOut: 1, recLocalPort: 40_000,
	} {
		binary.NativeEndian.PutUint32(b[at:], v)
	}
	copy(b[recLocal4:], []byte{192, 0, 2, 1})
	copy(b[recRemote4:], []byte{192, 0, 2, 2})
	local, remote := netip.MustParseAddr("2001:db8::1").As16(), netip.MustParseAddr("2001:db8::2").As16()
	copy(b[recLocal6:], local[:])
	copy(b[recRemote6:], remote[:])
	binary.BigEndian.PutUint16(b[recRemotePort+2:], 443)
	for at, v := range words {
		binary.NativeEndian.PutUint32(b[at:], v)
	}
	return b
}

// testEvent is what testRecord stands for, without the kind.
func testEvent(change func(*Event)) Event {
	e := Event{
		When: testNow.at.Add(-time.Millisecond), Token: 0x01020304, TCPState: uapi.TCPEstablished,
		Local: netip.MustParseAddrPort("192.0.2.1:40000"), Remote: netip.MustParseAddrPort("192.0.2.2:443"),
		RTO: 212 * time.Millisecond, Retransmits: 2, SRTT: 10_001 * time.Microsecond,
		Cwnd: 10, InFlight: 4, RetransOut: 3, LostOut: 1, TotalRetrans: 7,
	}
	change(&e)
	return e
}

func TestDecodeRecord(t *testing.T) {
	mapped := testRecord(map[int]uint32{recOp: opRTT, recFamily: unix.AF_INET6, recArg0: 1500})
	in6 := func(s string) []byte { a := netip.MustParseAddr(s).As16(); return a[:] }
	copy(mapped[recLocal6:], in6("::ffff:198.51.100.1"))
	copy(mapped[recRemote6:], in6("::ffff:198.51.100.2"))
	for _, tt := range []struct {
		name string
		b    []byte
		want Event
	}{
		{
			"timeout: counts itself, and the timer that ran out is an argument",
			testRecord(map[int]uint32{recOp: opRTO, recArg0: 2, recArg1: 106}),
			testEvent(func(e *Event) { e.Kind, e.Retransmits, e.RTO = Timeout, 3, 424*time.Millisecond }),
		},
		{
			"retransmission",
			testRecord(map[int]uint32{recOp: opRetrans, recArg0: 99, recArg1: 2}),
			testEvent(func(e *Event) { e.Kind, e.Segments = Retransmit, 2 }),
		},
		{
			"state, which the context has as before",
			testRecord(map[int]uint32{recOp: opState, recArg0: 1, recArg1: 7}),
			testEvent(func(e *Event) { e.Kind, e.OldState, e.TCPState = State, uapi.TCPEstablished, uapi.TCPClose }),
		},
		{
			"IPv6",
			testRecord(map[int]uint32{recOp: opRetrans, recArg1: 1, recFamily: unix.AF_INET6}),
			testEvent(func(e *Event) {
				e.Kind, e.Segments = Retransmit, 1
				e.Local, e.Remote = netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8::2]:443")
			}),
		},
		{
			"IPv4 on an IPv6 socket", mapped,
			testEvent(func(e *Event) {
				e.Kind, e.MeasuredRTT = RTT, 1500*time.Microsecond
				e.Local, e.Remote = netip.MustParseAddrPort("198.51.100.1:40000"), netip.MustParseAddrPort("198.51.100.2:443")
			}),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodeRecord(tt.b, testNow, testTick)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeRecordRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":             nil,
		"cut off":           testRecord(map[int]uint32{recOp: opRTO})[:recordSize-1],
		"unknown operation": testRecord(map[int]uint32{recOp: 99}),
		"unknown family":    testRecord(map[int]uint32{recOp: opRTO, recFamily: unix.AF_UNIX}),
	} {
		if e, err := decodeRecord(b, testNow, testTick); err == nil {
			t.Errorf("%s: got %v", name, e)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, op := range []uint32{opRTO, opRetrans, opState, opRTT, r.Uint32()} {
		f.Add(testRecord(map[int]uint32{recOp: op, recArg0: r.Uint32(), recArg1: r.Uint32()}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeRecord(b, testNow, testTick)
		if err != nil {
			return
		}
		if e.Kind < Timeout || e.Kind > RTT || !e.Local.IsValid() || e.Local.Addr().Is4In6() || e.String() == "" {
			t.Errorf("decoded to %+v", e)
		}
	})
}
