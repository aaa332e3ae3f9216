package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDescribe(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"rules", someRules, `The first rule that holds for a connection counts:
  rule 1: port 22, 5060-5061 → mode calls, whatever is asked for
  bulk: to example.com, .example.org, 192.0.2.0/24, 2001:db8::1/128 → over wwan0, else wifi, else wifi-wlan1 only
  rule 3: at [::]:1081, 192.168.1.1:1081 and by user torrent → mode single unless another one is asked for
Mode calls (interactive): as its base
`},
		{"modes", someModes + "[[rule]]\npaths = [\"wifi\"]\n", `The first rule that holds for a connection counts:
  rule 1: every connection → over wifi only
Mode handover: rto_threshold 700ms instead of 500ms, hold 1s instead of 8s
Mode streaming: loss_threshold 0.25 instead of 0.2, block 1MB instead of 64KiB, period 2s instead of 1s
Mode calls (interactive): max_subflows 3 instead of 8, rtt_ratio 2 instead of 1.25
Mode patient (handover): rto_threshold 2s instead of 700ms
Mode twin (lazy): lazy_bytes 500KB instead of 1MB
`},
	} {
		c, err := ParseClient([]byte(tt.text), "f.toml")
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := c.Describe(&out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, out.String()); diff != "" {
			t.Errorf("%s:\n%s", tt.name, diff)
		}
	}
}
