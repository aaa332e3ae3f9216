package front

import (
	"testing"
	"time"

	"mpproxy/proxy"
)

func TestReached(t *testing.T) {
	var r reached
	now := time.Now()
	a, other := proxy.Destination{Name: "a.example", Port: 443}, proxy.Destination{Name: "a.example", Port: 80}
	if r.lately(a, now) {
		t.Error("known from the start")
	}
	r.note(a, now)
	for _, tt := range []struct {
		to    proxy.Destination
		after time.Duration
		want  bool
	}{{a, 0, true}, {a, reachedTime - 1, true}, {a, reachedTime, false}, {other, 0, false}} {
		if got := r.lately(tt.to, now.Add(tt.after)); got != tt.want {
			t.Errorf("%v after %v: %v", tt.to, tt.after, got)
		}
	}
	r.forget(a)
	if r.lately(a, now) {
		t.Error("known after it was forgotten")
	}
	for port := range 3 * mostReached {
		r.note(proxy.Destination{Name: "b.example", Port: uint16(port)}, now)
	}
	if n := len(r.last); n > mostReached {
		t.Errorf("%d are remembered", n)
	}
}
