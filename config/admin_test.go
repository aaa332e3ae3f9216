package config

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAdminHTTP(t *testing.T) {
	const warning = "admin.http: everybody who reaches 192.0.2.1:9480 reads addresses of this host, counts and modes there: use 127.0.0.1, or keep others out with a firewall"
	for _, tt := range []struct {
		value, want, err string
		warnings         []string
	}{
		{value: ""},
		{value: "127.0.0.1:9480", want: "127.0.0.1:9480"},
		{value: "[::1]:9480", want: "[::1]:9480"},
		{value: "192.0.2.1:9480", want: "192.0.2.1:9480", warnings: []string{warning}},
		{value: "9480", err: `f.toml:2: admin.http: "9480" is no address to listen on: write ADDRESS:PORT with a numeric address and a port from 0 to 65535, such as "127.0.0.1:1080" or "[::1]:1080"; "" switches it off`},
	} {
		text := []byte("[admin]\nhttp = \"" + tt.value + "\"\n")
		c, clientErr := ParseClient(text, "f.toml")
		s, serverErr := ParseServer(text, "f.toml")
		if tt.err != "" {
			if clientErr == nil || clientErr.Error() != tt.err || serverErr == nil || serverErr.Error() != tt.err {
				t.Errorf("%q: %v, %v, want %s", tt.value, clientErr, serverErr, tt.err)
			}
			continue
		}
		var want netip.AddrPort
		if tt.want != "" {
			want = netip.MustParseAddrPort(tt.want)
		}
		if clientErr != nil || serverErr != nil || c.Admin.HTTP != want || s.Admin.HTTP != want {
			t.Errorf("%q: %v %v, %v %v", tt.value, c.Admin.HTTP, clientErr, s.Admin.HTTP, serverErr)
		}
		if diff := cmp.Diff(tt.warnings, c.Warnings, equal); diff != "" {
			t.Errorf("%q: client: %s", tt.value, diff)
		}
		if diff := cmp.Diff(tt.warnings, s.Warnings, equal); diff != "" {
			t.Errorf("%q: server: %s", tt.value, diff)
		}
	}
}
