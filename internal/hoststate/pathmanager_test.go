package hoststate

import "testing"

// TestPathManagerName: the log says the same on all kernels.
func TestPathManagerName(t *testing.T) {
	for value, want := range map[string]string{"0": "kernel", "1": "userspace", "kernel": "kernel", "userspace": "userspace", "mine": "mine"} {
		if got := pathManagerName(value); got != want {
			t.Errorf("%q is called %q, want %q", value, got, want)
		}
	}
}
