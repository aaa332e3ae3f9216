package measure_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/test/netns/measure"
)

func TestLogFindsDecisions(t *testing.T) {
	var log measure.Log
	for _, line := range []string{
		`client/mpproxy-client: time=2026-03-01T12:00:00.500Z level=DEBUG msg=decision action=create path=lte0 reason="more bytes" destination=d:1 mode=lazy`,
		`client/mpproxy-client: time=2026-03-01T12:00:01.000Z level=INFO msg="path up" path=lte0`,
		`concentrator/mpproxy-server: time=2026-03-01T12:00:01.250Z level=DEBUG msg=decision action="make backup" path=192.0.2.2 reason=x destination=d:1 mode=lazy`,
		`client/mpproxy-client: msg=decision action=use`,
	} {
		log.Logf("%s", line)
	}
	at := time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC)
	want := []measure.Decision{{
		End: "concentrator", When: at.Add(250 * time.Millisecond), Action: "make backup", Path: "192.0.2.2",
		Text: `action="make backup" path=192.0.2.2 reason=x destination=d:1 mode=lazy`,
	}}
	if diff := cmp.Diff(want, log.Decisions(at)); diff != "" {
		t.Error(diff)
	}
	if all := log.Decisions(time.Time{}); len(all) != 2 {
		t.Errorf("%d decisions, want 2", len(all))
	}
}
