package leg

import (
	"strings"
	"testing"

	. "mpproxy/proxy/proxytest"
)

// TestFellBackIsSaidOnce: paths that a race tries in turns are named once each, and what
// Health says does not change with each of them.
func TestFellBackIsSaidOnce(t *testing.T) {
	logged, log := NewLog()
	h := health{log: log}
	for range 3 {
		h.fellBack("dsl", "stripped")
		h.fellBack("lte", "stripped")
		if got := h.get(); !got.Plain || got.PlainAt != "dsl: stripped" {
			t.Errorf("%+v", got)
		}
	}
	h.multipath()
	if got := h.get(); got.Plain || got.PlainAt != "" {
		t.Errorf("%+v", got)
	}
	h.fellBack("lte", "stripped")
	if n := strings.Count(logged.String(), "is plain TCP"); n != 3 {
		t.Errorf("said %d times:\n%s", n, logged)
	}
}
