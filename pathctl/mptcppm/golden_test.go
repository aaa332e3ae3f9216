package mptcppm

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The messages below were captured from Linux 6.18 on a little-endian machine:
// what Receive of a generic netlink socket returned, attributes only, while a
// connection between two namespaces went through its life, once from an IPv4
// client to a [::] listener and once over IPv6.

var cmpAddrs = cmp.Options{cmpNetip, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })}

// fromHex decodes a captured message, in the byte order of the host's test.
func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("captured messages are little-endian, this machine is not")
	}
	b, err := hex.DecodeString(s)
	must(t, err)
	return b
}

const subflowFields = HasToken | HasLocalID | HasRemoteID | HasLocalPort | HasRemotePort | HasBackup

var goldenEvents = []struct {
	name string
	kind EventKind
	hex  string
	want Event
	text string
}{
	{
		"listener", 15, "060002000a000000060009009f7d00001400060000000000000000000000000000000000",
		Event{Fields: 1<<evSAddr6 | HasLocalPort, Local: ap("[::]:40829")},
		"listener-created local=[::]:40829",
	},
	{
		"created, v4-mapped server", 1,
		"08000100cf0989e2050012000100000006000d0002000000060002000a0000001400060000000000000000000000ffffc00002021400080000000000000000000000ffffc00002010600090083e5000006000a008f2a000005000300000000000500040000000000",
		Event{
			Fields: HasToken | HasServerSide | HasFlags | 1<<evSAddr6 | 1<<evDAddr6 | HasLocalPort | HasRemotePort | HasLocalID | HasRemoteID,
			Token:  0xe28909cf, ServerSide: true, Flags: EventServerSide,
			Local: ap("[::ffff:192.0.2.2]:33765"), Remote: ap("[::ffff:192.0.2.1]:36650"),
		},
		"created token=0xe28909cf local-id=0 remote-id=0 local=[::ffff:192.0.2.2]:33765 remote=[::ffff:192.0.2.1]:36650 server-side",
	},
	{
		"established, v4 client", 2,
		"08000100b667f143060002000200000008000500c000020108000700c0000202060009008f2a000006000a0083e5000005000300000000000500040000000000",
		Event{
			Fields: HasToken | 1<<evSAddr4 | 1<<evDAddr4 | HasLocalPort | HasRemotePort | HasLocalID | HasRemoteID,
			Token:  0x43f167b6, Local: ap("192.0.2.1:36650"), Remote: ap("192.0.2.2:33765"),
		},
		"established token=0x43f167b6 local-id=0 remote-id=0 local=192.0.2.1:36650 remote=192.0.2.2:33765",
	},
	{
		"announced, v4", 6, "08000100b667f143050004000700000006000a0083e5000008000700c6336402",
		Event{
			Fields: HasToken | HasRemoteID | 1<<evDAddr4 | HasRemotePort,
			Token:  0x43f167b6, RemoteID: 7, Remote: ap("198.51.100.2:33765"),
		},
		"announced token=0x43f167b6 remote-id=7 remote=198.51.100.2:33765",
	},
	{
		"announced, v6", 6, "080001003eff36af050004000700000006000a00849b00001400080020010db8000200000000000000000002",
		Event{
			Fields: HasToken | HasRemoteID | 1<<evDAddr6 | HasRemotePort,
			Token:  0xaf36ff3e, RemoteID: 7, Remote: ap("[2001:db8:2::2]:33947"),
		},
		"announced token=0xaf36ff3e remote-id=7 remote=[2001:db8:2::2]:33947",
	},
	{
		"removed", 7, "08000100cf0989e20500040003000000",
		Event{Fields: HasToken | HasRemoteID, Token: 0xe28909cf, RemoteID: 3},
		"removed token=0xe28909cf remote-id=3",
	},
	{
		"subflow established as backup, v6", 10,
		"0800010020dbd40b060002000a0000001400060020010db80002000000000000000000021400080020010db800020000000000000000000106000900849b000006000a00878900000500030007000000050004000300000005000b0001000000",
		Event{
			Fields: subflowFields | 1<<evSAddr6 | 1<<evDAddr6, Token: 0x0bd4db20, LocalID: 7, RemoteID: 3, Backup: true,
			Local: ap("[2001:db8:2::2]:33947"), Remote: ap("[2001:db8:2::1]:34697"),
		},
		"subflow-established token=0x0bd4db20 local-id=7 remote-id=3 local=[2001:db8:2::2]:33947 remote=[2001:db8:2::1]:34697 backup=true",
	},
	{
		"subflow refused, v4", 11,
		"08000100b667f143060002000200000008000500c633640108000700c6336402060009008f6d000006000a00000900000500030003000000050004000000000005000b000000000005000c006f000000",
		Event{
			Fields: subflowFields | HasErrno | 1<<evSAddr4 | 1<<evDAddr4, Token: 0x43f167b6, LocalID: 3,
			Errno: syscall.ECONNREFUSED, Local: ap("198.51.100.1:36717"), Remote: ap("198.51.100.2:9"),
		},
		`subflow-closed token=0x43f167b6 local-id=3 remote-id=0 local=198.51.100.1:36717 remote=198.51.100.2:9 backup=false error="connection refused"`,
	},
	{
		"priority, v4-mapped", 13,
		"08000100cf0989e2060002000a0000001400060000000000000000000000ffffc63364021400080000000000000000000000ffffc63364010600090083e5000006000a00d97700000500030007000000050004000300000005000b0000000000",
		Event{
			Fields: subflowFields | 1<<evSAddr6 | 1<<evDAddr6, Token: 0xe28909cf, LocalID: 7, RemoteID: 3,
			Local: ap("[::ffff:198.51.100.2]:33765"), Remote: ap("[::ffff:198.51.100.1]:55671"),
		},
		"subflow-priority token=0xe28909cf local-id=7 remote-id=3 local=[::ffff:198.51.100.2]:33765 remote=[::ffff:198.51.100.1]:55671 backup=false",
	},
	{ // not captured: what no run here produced, written after the header file
		"every other attribute", 11,
		"08000e000700000008000f000500000008001000030000000800110001000000" + "06000d0001000000" + "0800630001020304",
		Event{
			Fields:  HasTimeout | HasIfIndex | HasResetReason | HasResetFlags | HasFlags,
			Timeout: 7, IfIndex: 5, ResetReason: ResetProhibited, ResetFlags: 1, Flags: EventDenyJoinID0,
		},
		"subflow-closed reset=prohibited deny-join-id0 if=5",
	},
	{"unknown kind", 42, "08000100cf0989e2", Event{Fields: HasToken, Token: 0xe28909cf}, "event-42 token=0xe28909cf"},
}

func TestGoldenEvents(t *testing.T) {
	for _, tt := range goldenEvents {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodeEvent(tt.kind, fromHex(t, tt.hex))
			must(t, err)
			tt.want.Kind = tt.kind
			if diff := cmp.Diff(tt.want, got, cmpAddrs); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
			if got.String() != tt.text {
				t.Errorf("text\n got %s\nwant %s", got, tt.text)
			}
		})
	}
}

const (
	goldenEndpoint6 = "40000180060001000a00000006000500000000000500020002000000080006000600000008000700010000001400040020010db8000000000000000000000001"
	goldenEndpoint4 = "2c000180060001000200000006000500a00f000005000200090000000800060001000000080003007f000003"
	goldenLimits    = "08000200050000000800030003000000"
)

func TestGoldenEndpoints(t *testing.T) {
	for _, tt := range []struct {
		hex  string
		want Endpoint
	}{
		{goldenEndpoint6, Endpoint{ID: 2, Addr: addr("2001:db8::1"), Flags: FlagSubflow | FlagBackup, IfIndex: 1}},
		{goldenEndpoint4, Endpoint{ID: 9, Addr: addr("127.0.0.3"), Port: 4000, Flags: FlagSignal}},
	} {
		got, err := decodeEndpoint(fromHex(t, tt.hex))
		must(t, err)
		if diff := cmp.Diff(tt.want, got, cmpAddrs); diff != "" {
			t.Errorf("endpoint (-want +got):\n%s", diff)
		}
	}
	got, err := decodeLimits(fromHex(t, goldenLimits))
	must(t, err)
	if want := (Limits{Subflows: 3, AddAddrAccepted: 5}); got != want {
		t.Errorf("limits %+v, want %+v", got, want)
	}
}

func TestMalformed(t *testing.T) {
	for name, s := range map[string]string{
		"cut attribute":        "0800010002",
		"attribute too short":  "0500010002000000",
		"short address":        "0600050001020000",
		"IPv6 address as IPv4": "1400050020010db8000000000000000000000001",
		"short port":           "0500090001000000",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := decodeEvent(EventCreated, fromHex(t, s)); !errors.Is(err, errMalformed) {
				t.Errorf("got %v, %v; want %v", got, err, errMalformed)
			}
		})
	}
	if got, err := decodeEndpoint(nil); !errors.Is(err, errMalformed) {
		t.Errorf("empty endpoint: got %v, %v", got, err)
	}
}

func FuzzDecodeEvent(f *testing.F) {
	for _, tt := range goldenEvents {
		f.Add(uint8(tt.kind), fromHex(f, tt.hex))
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		e, err := decodeEvent(EventKind(kind), b)
		if err != nil {
			if !errors.Is(err, errMalformed) {
				t.Errorf("%v is no %v", err, errMalformed)
			}
			return
		}
		if e.Local.IsValid() && !e.Has(HasLocalAddr) || e.Remote.IsValid() && !e.Has(HasRemoteAddr) {
			t.Errorf("an address without its field: %+v", e)
		}
		if e.String() == "" {
			t.Error("an event without text")
		}
	})
}

// FuzzDecodeEndpoint: what can be read can be written, and reads the same.
func FuzzDecodeEndpoint(f *testing.F) {
	f.Add(fromHex(f, goldenEndpoint4))
	f.Add(fromHex(f, goldenEndpoint6))
	f.Fuzz(func(t *testing.T, b []byte) {
		want, err := decodeEndpoint(b)
		if err != nil {
			return
		}
		b, err = request{addr: &want}.encode()
		must(t, err)
		got, err := decodeEndpoint(b)
		must(t, err)
		if diff := cmp.Diff(want, got, cmpAddrs); diff != "" {
			t.Errorf("after a round trip (-want +got):\n%s", diff)
		}
	})
}

func FuzzDecodeLimits(f *testing.F) {
	f.Add(fromHex(f, goldenLimits))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := decodeLimits(b); err != nil && !errors.Is(err, errMalformed) {
			t.Errorf("%v is no %v", err, errMalformed)
		}
	})
}

func BenchmarkDecodeEvent(b *testing.B) {
	msg := fromHex(b, goldenEvents[8].hex)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeEvent(EventSubflowPriority, msg); err != nil {
			b.Fatal(err)
		}
	}
}
