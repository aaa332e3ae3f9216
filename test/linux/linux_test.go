package linux

import "testing"

func TestSince(t *testing.T) {
	for _, tt := range []struct {
		release      string
		major, minor int
		want         bool
	}{
		{"6.1.0-50-cloud-amd64", 6, 1, true},
		{"6.1.0-50-cloud-amd64", 6, 2, false},
		{"6.12.117+deb12-cloud-amd64", 6, 2, true},
		{"6.12.117+deb12-cloud-amd64", 6, 18, false},
		{"7.3.4", 6, 18, true},
		{"5.19-rc1", 6, 1, false},
		{"odd", 6, 1, true},
	} {
		if got := since(tt.release, tt.major, tt.minor); got != tt.want {
			t.Errorf("%s since %d.%d: %t", tt.release, tt.major, tt.minor, got)
		}
	}
}
