package mptcppm

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/mptcpsock/uapi"
)

// The wanted bytes are written after include/uapi/linux/mptcp_pm.h; that the
// kernel reads them so is shown by the tests against it.
func TestEncode(t *testing.T) {
	token, id, zero := uapi.Token(0x12345678), uapi.AddrID(3), uapi.AddrID(0)
	for _, tt := range []struct {
		name string
		req  request
		want string
	}{
		{"nothing", request{}, ""},
		{"endpoint by id", request{addr: &Endpoint{ID: 200}}, "0c000180" + "05000200c8000000"},
		{
			"whole IPv4 endpoint",
			request{addr: &Endpoint{ID: 9, Addr: addr("127.0.0.3"), Port: 4000, Flags: FlagSignal | FlagLaminar, IfIndex: 2}},
			"34000180" + "0600010002000000" + "0500020009000000" + "080003007f000003" + "06000500a00f0000" + "0800060021000000" + "0800070002000000",
		},
		{
			"IPv6 endpoint",
			request{addr: &Endpoint{Addr: addr("2001:db8::1")}},
			"20000180" + "060001000a000000" + "1400040020010db8000000000000000000000001",
		},
		{
			"v4-mapped endpoint",
			request{addr: &Endpoint{Addr: addr("::ffff:192.0.2.1")}},
			"20000180" + "060001000a000000" + "1400040000000000000000000000ffffc0000201",
		},
		{"limits, zero included", request{limits: &Limits{Subflows: 8}}, "0800020000000000" + "0800030008000000"},
		{"remove", request{token: &token, locID: &id}, "0800040078563412" + "0500050003000000"},
		{"remove id 0", request{token: &token, locID: &zero}, "0800040078563412" + "0500050000000000"},
		{
			"subflow",
			request{addr: &Endpoint{ID: 3, Addr: addr("192.0.2.1")}, token: &token, remote: ap("192.0.2.2:443")},
			"1c000180" + "0600010002000000" + "0500020003000000" + "08000300c0000201" +
				"0800040078563412" + "1c000680" + "0600010002000000" + "08000300c0000202" + "06000500bb010000",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.req.encode()
			must(t, err)
			if diff := cmp.Diff(fromHex(t, tt.want), got, cmp.Transformer("", func(b []byte) string { return string(b) })); diff != "" {
				t.Errorf("got %x, want %s", got, tt.want)
			}
		})
	}
}

func TestAttributeAt(t *testing.T) {
	token := uapi.Token(1)
	b, err := request{addr: &Endpoint{ID: 3, Addr: addr("192.0.2.1")}, token: &token}.encode()
	must(t, err)
	for offset, want := range map[int]uint16{0: 0, 19: 0, 20: attrAddr, 24: attrAddr, 47: attrAddr, 48: attrToken, 56: 0, 1 << 20: 0} {
		if got := attributeAt(b, offset); got != want {
			t.Errorf("offset %d is attribute %d, want %d", offset, got, want)
		}
	}
}

func TestFlagsString(t *testing.T) {
	for f, want := range map[Flags]string{
		0:                                   "none",
		FlagSignal:                          "signal",
		FlagSubflow | FlagBackup:            "subflow,backup",
		FlagFullmesh | FlagImplicit | 1<<31: "fullmesh,implicit,0x80000000",
		FlagLaminar | 1<<6 | 1<<7:           "laminar,0xc0",
	} {
		if got := f.String(); got != want {
			t.Errorf("%#x is %q, want %q", uint32(f), got, want)
		}
	}
}
