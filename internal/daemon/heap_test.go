package daemon

import (
	"runtime"
	"testing"
)

func TestGCPercent(t *testing.T) {
	for _, tt := range []struct {
		name   string
		inUse  uint64
		before int
		want   int
	}{
		{"a small program", 4 << 20, heapDefault, heapDefault},
		{"growing", heapMuch - 1, heapDefault, heapDefault},
		{"much", heapMuch, heapDefault, heapTight},
		{"shrinking", heapLittle, heapTight, heapTight},
		{"little again", heapLittle - 1, heapTight, heapDefault},
	} {
		if got := gcPercent(tt.inUse, tt.before); got != tt.want {
			t.Errorf("%s: %d %%, want %d %%", tt.name, got, tt.want)
		}
	}
}

// TestHeapInUse: the runtime knows the metric, and it counts what is reachable.
func TestHeapInUse(t *testing.T) {
	runtime.GC() // of what other tests have left
	before := heapInUse()
	held := make([]byte, 64<<20)
	runtime.GC()
	if got := heapInUse(); got < before+uint64(len(held))/2 {
		t.Errorf("%d bytes in use with %d held, %d before", got, len(held), before)
	}
	runtime.KeepAlive(held)
}
