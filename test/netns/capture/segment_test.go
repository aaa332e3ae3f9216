package capture

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// frame builds an Ethernet frame out of hexadecimal parts.
func frame(t *testing.T, parts ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(parts, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	ethernet4 = "020000000001 020000000002 0800"
	ip4       = "45000034 00004000 40060000 c0000202 cb007101" // 52 bytes
)

func TestDecode(t *testing.T) {
	src, dst := netip.MustParseAddrPort("192.0.2.2:40000"), netip.MustParseAddrPort("203.0.113.1:8443")
	comparer := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	for name, tt := range map[string]struct {
		frame []byte
		want  Segment
	}{
		// 12 bytes of options: MP_JOIN in a SYN, RFC 8684 figure 5.
		"join": {
			frame(t, ethernet4, ip4, "9c4020fb 00000001 00000000 8002ffff 00000000", "1e0c 1001 d3acd6f7 00000000"),
			Segment{Src: src, Dst: dst, SYN: true, Seq: 1, Join: true, Token: 0xd3acd6f7},
		},
		// A SYN with ACK and the key 0102…08: its token is the start of the SHA-256.
		"capable": {
			frame(t, ethernet4, ip4, "9c4020fb 00000001 00000000 8012ffff 00000000", "1e0c 0101 0102030405060708"),
			Segment{Src: src, Dst: dst, SYN: true, ACK: true, Seq: 1, Capable: true, Token: 0x66840dda},
		},
		// A data sequence mapping of 10 bytes with 32-bit numbers and no ack.
		"dss": {
			frame(t, ethernet4, "45000040 00004000 40060000 c0000202 cb007101", "9c4020fb 00000001 00000000 9010ffff 00000000",
				"01 01 1e0e 2004 000000ff 00000007 000a 0000"),
			Segment{Src: src, Dst: dst, ACK: true, Seq: 1, Len: 8, DSS: Mapping{Length: 10, Data: 255, Subflow: 7}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Decode(tt.frame)
			if diff := cmp.Diff(tt.want, got, comparer); !ok || diff != "" {
				t.Errorf("ok %v\n%s", ok, diff)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00\x45\x00\x00\x34\x00\x00\x40\x00\x40\x06\x00\x00\xc0\x00\x02\x02\xcb\x00\x71\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := Decode(b); ok && s.Len < 0 {
			t.Errorf("a payload of %d bytes", s.Len)
		}
	})
}
