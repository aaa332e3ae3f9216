package hoststate

import "testing"

func TestWidened(t *testing.T) {
	for _, tt := range []struct{ before, want string }{
		{"4096 16384 4194304", "8388608 262144 4194304"},
		{"16777216 1048576 4194304", "16777216 1048576 4194304"}, // wide enough
		{"4096 131072 196608", "8388608 196608 196608"},          // no more than the most
		{"4096 16384", ""},
		{"", ""},
	} {
		got, err := widened(tt.before)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q becomes %q, %v; want %q", tt.before, got, err, tt.want)
		}
	}
}
