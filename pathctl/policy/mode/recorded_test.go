package mode

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	. "mpproxy/pathctl/policy"
)

var record = flag.Bool("record", false, "write testdata/decisions.txt anew")

// TestRecordedDecisions compares what the modes decide in the toy world, and when,
// with what they decided when it was recorded. A change that is meant shows as a
// difference of the file, to be read before it is committed.
func TestRecordedDecisions(t *testing.T) {
	var b strings.Builder
	for _, mode := range []Mode{Aggregate, Handover, Interactive, Lazy, Backup, Streaming} {
		for _, s := range recordedScenarios() {
			w := newWorld(t, mode, s.app, s.links...)
			w.run(s.until)
			fmt.Fprintf(&b, "%s/%s: longest silence %v\n", mode, s.name, w.silence)
			for _, e := range w.log {
				what, _, _ := strings.Cut(e.text, ":")
				fmt.Fprintf(&b, "  %v %s\n", e.at, what)
			}
		}
	}
	file := filepath.Join("testdata", "decisions.txt")
	if *record {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(b.String(), "\n")); diff != "" {
		t.Errorf("decisions (-recorded +now):\n%s", diff)
	}
}

type recordedScenario struct {
	name  string
	app   func(*world) uint64
	until time.Duration
	links []*link
}

func recordedScenarios() []recordedScenario {
	with := func(l *link, change func(*link)) *link { change(l); return l }
	dark := func(l *link) { l.dark = between2(5*time.Second, 20*time.Second) }
	loses := func(l *link) {
		l.loss = func(at time.Duration) float64 {
			if at < time.Second || at >= 20*time.Second {
				return 0
			}
			return 0.3
		}
	}
	jitters := func(l *link) {
		l.rtt, l.jitter = 40*ms, 30*ms
		l.loss = func(time.Duration) float64 { return 0.01 }
	}
	return []recordedScenario{
		{"dark path, heals", bulk, 40 * time.Second, []*link{with(fast("wifi"), dark), fast("dsl")}},
		{"dark path, echo", echo, 40 * time.Second, []*link{with(fast("wifi"), dark), fast("dsl")}},
		{"30 % loss, heals", bulk, time.Minute, []*link{with(fast("wifi"), loses), fast("dsl")}},
		{"30 % loss, metered second", bulk, time.Minute, []*link{with(fast("wifi"), loses), metered(fast("lte"))}},
		{"jitter", bulk, time.Minute, []*link{with(fast("wifi"), jitters), with(fast("dsl"), jitters)}},
		{"three paths, one dark", bulk, 40 * time.Second, []*link{with(fast("wifi"), dark), fast("dsl"), metered(fast("lte"))}},
		{"three paths, two bad", bulk, 40 * time.Second, []*link{with(fast("wifi"), dark), with(fast("dsl"), loses), fast("cable")}},
		{"flapping", bulk, 2 * time.Minute, []*link{with(fast("wifi"), func(l *link) {
			l.dark = func(at time.Duration) bool { return at%(10*time.Second) > 8*time.Second }
		}), fast("dsl")}},
	}
}
