package bpfenv

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMissingCapabilities(t *testing.T) {
	for _, tt := range []struct {
		set  uint64
		want []string
	}{
		{0, []string{"CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"}},
		{1 << 12, []string{"CAP_BPF", "CAP_PERFMON"}},
		{1<<39 | 1<<38 | 1<<12, nil},
		{1 << 21, nil}, // CAP_SYS_ADMIN
	} {
		if diff := cmp.Diff(tt.want, missingCapabilities(tt.set)); diff != "" {
			t.Errorf("%#x: %s", tt.set, diff)
		}
	}
}
