package subflowbpf

import (
	"bytes"
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

// testRecord is a record that change has changed, as the ring holds it.
func testRecord(change func(*subflowRecord)) []byte {
	r := subflowRecord{
		Time: testNow.ns - 1_000_000, Token: 0x01020304, Family: unix.AF_INET, State: 1,
		Rto: 53, Retransmits: 2, Srtt: 10_001 << 3, Cwnd: 10, PacketsOut: 4,
		RetransOut: 3, TotalRetrans: 7, LostOut: 1, LocalPort: 40_000, RemotePort: 443,
		Local4: [4]byte{192, 0, 2, 1}, Remote4: [4]byte{192, 0, 2, 2},
		Local6: netip.MustParseAddr("2001:db8::1").As16(), Remote6: netip.MustParseAddr("2001:db8::2").As16(),
	}
	change(&r)
	var b bytes.Buffer
	if err := binary.Write(&b, binary.NativeEndian, &r); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// operation makes a record one of an operation, with its arguments.
func operation(op, arg0, arg1 uint32) func(*subflowRecord) {
	return func(r *subflowRecord) { r.Op, r.Args = op, [2]uint32{arg0, arg1} }
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
	mapped := testRecord(func(r *subflowRecord) {
		operation(unix.BPF_SOCK_OPS_RTT_CB, 1500, 0)(r)
		r.Family = unix.AF_INET6
		r.Local6 = netip.MustParseAddr("::ffff:198.51.100.1").As16()
		r.Remote6 = netip.MustParseAddr("::ffff:198.51.100.2").As16()
	})
	for _, tt := range []struct {
		name string
		b    []byte
		want Event
	}{
		{
			"timeout: counts itself, and the timer that ran out is an argument",
			testRecord(operation(unix.BPF_SOCK_OPS_RTO_CB, 2, 106)),
			testEvent(func(e *Event) { e.Kind, e.Retransmits, e.RTO = Timeout, 3, 424*time.Millisecond }),
		},
		{
			"retransmission",
			testRecord(operation(unix.BPF_SOCK_OPS_RETRANS_CB, 99, 2)),
			testEvent(func(e *Event) { e.Kind, e.Segments = Retransmit, 2 }),
		},
		{
			"state, which the context has as before",
			testRecord(operation(unix.BPF_SOCK_OPS_STATE_CB, 1, 7)),
			testEvent(func(e *Event) { e.Kind, e.OldState, e.TCPState = State, uapi.TCPEstablished, uapi.TCPClose }),
		},
		{
			"IPv6",
			testRecord(func(r *subflowRecord) {
				operation(unix.BPF_SOCK_OPS_RETRANS_CB, 0, 1)(r)
				r.Family = unix.AF_INET6
			}),
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
	whole := testRecord(operation(unix.BPF_SOCK_OPS_RTO_CB, 0, 0))
	for name, b := range map[string][]byte{
		"empty":             nil,
		"cut off":           whole[:len(whole)-1],
		"unknown operation": testRecord(operation(99, 0, 0)),
		"unknown family": testRecord(func(r *subflowRecord) {
			operation(unix.BPF_SOCK_OPS_RTO_CB, 0, 0)(r)
			r.Family = unix.AF_UNIX
		}),
	} {
		if e, err := decodeRecord(b, testNow, testTick); err == nil {
			t.Errorf("%s: got %v", name, e)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, op := range []uint32{
		unix.BPF_SOCK_OPS_RTO_CB, unix.BPF_SOCK_OPS_RETRANS_CB, unix.BPF_SOCK_OPS_STATE_CB, unix.BPF_SOCK_OPS_RTT_CB, r.Uint32(),
	} {
		f.Add(testRecord(operation(op, r.Uint32(), r.Uint32())))
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
