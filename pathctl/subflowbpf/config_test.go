package subflowbpf

import "testing"

func TestRingSize(t *testing.T) {
	for _, tt := range []struct {
		size int
		want uint32
	}{{0, DefaultRingSize}, {1, 4096}, {4096, 4096}, {4097, 8192}, {MaxRingSize, MaxRingSize}} {
		c := Config{RingSize: tt.size}
		if err := c.validate(); err != nil {
			t.Error(err)
		}
		if got := c.ringSize(4096); got != tt.want {
			t.Errorf("%d: got %d, want %d", tt.size, got, tt.want)
		}
	}
	for _, size := range []int{-1, MaxRingSize + 1} {
		if _, err := Open(Config{RingSize: size}, nil); err == nil {
			t.Errorf("a ring of %d bytes was taken", size)
		}
	}
}
