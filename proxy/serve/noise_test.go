package serve

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/time/rate"
)

func TestNoiseIsBoundedAndCounted(t *testing.T) {
	var out bytes.Buffer
	n := newNoise(slog.New(slog.NewTextHandler(&out, nil)), 0, 3) // no refill: the clock plays no part
	for i := range 10 {
		n.line(slog.LevelWarn, "refused", "i", i)
	}
	n.line(slog.LevelDebug, "not enabled")
	if got := strings.Count(out.String(), "msg=refused"); got != 3 {
		t.Errorf("%d lines were logged, want 3", got)
	}
	n.limit = rate.NewLimiter(0, 1)
	n.line(slog.LevelWarn, "refused", "i", 10)
	if want := fmt.Sprintf("similar_lines_left_out=%d", 7); !strings.Contains(out.String(), want) {
		t.Errorf("the next line does not say %q:\n%s", want, out.String())
	}
}

func TestNothingIsLeftOutAtDebug(t *testing.T) {
	var out bytes.Buffer
	n := newNoise(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), 0, 0)
	for range 5 {
		n.line(slog.LevelInfo, "closed")
	}
	if got := strings.Count(out.String(), "msg=closed\n"); got != 5 {
		t.Errorf("%d lines:\n%s", got, out.String())
	}
}
