package trace

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/policy"
)

// replayed replays a trace.
func replayed(t *testing.T, text []byte) (ds []engine.Decision, diffs []Difference, sum Summary) {
	t.Helper()
	sum, err := Replay(bytes.NewReader(text), Handler{
		Decision:   func(d engine.Decision) error { ds = append(ds, d); return nil },
		Difference: func(d Difference) { diffs = append(diffs, d) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return ds, diffs, sum
}

func TestReplayIsTheSame(t *testing.T) {
	looks := story()
	want := decisions(looks)
	if len(want) < 3 {
		t.Fatalf("the story has only the decisions %v", want)
	}
	got, diffs, sum := replayed(t, recorded(t, looks...))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(diffs) > 0 {
		t.Errorf("differences: %v", diffs)
	}
	if diff := cmp.Diff(Summary{Looks: len(looks), Connections: 1, Decisions: len(want)}, sum); diff != "" {
		t.Error(diff)
	}
}

// TestReplayDiffers: a replay decides by itself, and says where a trace says
// something else.
func TestReplayDiffers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		edit  func(looks []engine.Look)
		what  string
		count int
	}{
		{"another reading", func(ls []engine.Look) { ls[3].Conn.Subflows[0].Stalled = 0; ls[3].Conn.Subflows[0].Timeouts = 0 }, "decides something else", 1},
		{"another plan", func(ls []engine.Look) { ls[1].Plan.Look += time.Millisecond }, "decides something else", 1},
		{"another memory", func(ls []engine.Look) { ls[2].Memory.Best = "lte0" }, "remembers something else", 1},
		{"another number of the mode", func(ls []engine.Look) {
			for i := range ls {
				ls[i].Conn.Params.StallTimeout = time.Minute
			}
		}, "decides something else", 1},
		{"another decision", func(ls []engine.Look) { ls[3].Outcomes[0].Why = "no reason" }, "described otherwise", 1},
		{"a decision too many", func(ls []engine.Look) { ls[4].Outcomes = append(ls[4].Outcomes, nil) }, "other changes", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			looks := story()
			tt.edit(looks)
			_, diffs, sum := replayed(t, recorded(t, looks...))
			if len(diffs) < tt.count || sum.Differences != len(diffs) || !strings.Contains(diffs[0].What, tt.what) {
				t.Errorf("%d differences: %v", sum.Differences, diffs)
			}
		})
	}
}

// TestReplayCarriesMemoryOn: what is remembered is the replay's own, not that of
// the trace.
func TestReplayCarriesMemoryOn(t *testing.T) {
	looks := story()
	for i := range looks {
		looks[i].Memory = policy.Memory{}
	}
	_, diffs, _ := replayed(t, recorded(t, looks...))
	if len(diffs) == 0 {
		t.Error("the recorded memory was forged, and nobody noticed")
	}
}

// TestReplayOutcomes: a step that could not be taken is no decision, and one that
// the kernel refused is one of its own.
func TestReplayOutcomes(t *testing.T) {
	looks := story()
	last := looks[3].Outcomes
	refused := engine.Decision{When: began, Action: engine.ActionFailed, Path: "lte0", Reason: engine.ReasonUnreachable, Why: "cannot create a subflow"}
	first := looks[0].Outcomes
	if len(first) == 0 || len(last) == 0 {
		t.Fatal("the story has no steps")
	}
	first[0], last[0] = &refused, nil
	got, diffs, _ := replayed(t, recorded(t, looks...))
	if diff := cmp.Diff(decisions(looks), got); diff != "" || len(diffs) > 0 {
		t.Errorf("%s\n%v", diff, diffs)
	}
}

func TestReplayGap(t *testing.T) {
	looks := story()
	got, diffs, sum := replayed(t, recorded(t, looks[0], looks[2], looks[3], looks[4]))
	if len(diffs) > 0 || sum.Gaps != 1 || sum.Connections != 1 {
		t.Errorf("%+v, %v", sum, diffs)
	}
	if diff := cmp.Diff(decisions([]engine.Look{looks[0], looks[2], looks[3], looks[4]}), got); diff != "" {
		t.Error(diff)
	}
	// One that begins in the middle.
	if _, diffs, sum = replayed(t, recorded(t, looks[2:]...)); len(diffs) > 0 || sum.Gaps != 1 || sum.Connections != 1 {
		t.Errorf("%+v, %v", sum, diffs)
	}
	// A token that is used again.
	if _, diffs, sum = replayed(t, recorded(t, append(looks, story()...)...)); len(diffs) > 0 || sum.Gaps != 0 || sum.Connections != 2 {
		t.Errorf("%+v, %v", sum, diffs)
	}
}

func TestReplayTold(t *testing.T) {
	told := engine.Decision{When: began, Action: engine.ActionPath, Path: "dsl0", Reason: engine.ReasonRecovered, Why: "works again"}
	path := record(t, Config{}, func(r *Recorder) { r.Told(told) })
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, _ := replayed(t, text); !cmp.Equal(got, []engine.Decision{told}) {
		t.Errorf("%v", got)
	}
}

func TestReplayHandlerFails(t *testing.T) {
	full := errors.New("disk full")
	_, err := Replay(bytes.NewReader(recorded(t, story()...)), Handler{Decision: func(engine.Decision) error { return full }})
	if !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
}

func TestCorrupt(t *testing.T) {
	good := string(recorded(t, story()...))
	lines := strings.SplitAfter(good, "\n")
	head, mode, look := lines[0], lines[1], lines[2]
	for _, tt := range []struct {
		name, text string
		line       int
		words      string
	}{
		{"empty", "", 1, "empty"},
		{"no trace", "GIF89a\n", 1, "invalid"},
		{"no header", mode + look, 1, "first"},
		{"header twice", head + head, 2, "first"},
		{"from the future", strings.Replace(head, `"format":1`, `"format":2`, 1), 1, "format 2"},
		{"cut off", good[:len(good)-5], len(lines) - 1, "cut off"},
		{"mode unknown", head + look, 2, `mode "handover"`},
		{"numbers out of range", head + strings.Replace(mode, `"MaxSubflows":8`, `"MaxSubflows":800`, 1), 2, "max_subflows"},
		{"number 0", head + mode + strings.Replace(look, `"number":1`, `"number":0`, 1), 3, "numbered"},
		{"unknown field", head + mode + strings.Replace(look, `"number"`, `"numeral"`, 1), 3, "numeral"},
		{"unknown cause", head + mode + look + `{"look":{"plan":{"Drop":[{"Cause":"whim"}]}}}` + "\n", 4, "whim"},
		{"two kinds", head + `{"dropped":1,"told":{}}` + "\n", 2, "expected one"},
		{"two values", head + `{"dropped":1}{"dropped":1}` + "\n", 2, "more than one"},
		{"no kind", head + "{}\n", 2, "expected one"},
		{"line too long", head + `{"told":{"why":"` + strings.Repeat("x", maxLine) + `"}}` + "\n", 2, "longer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Replay(strings.NewReader(tt.text), Handler{})
			var wrong *LineError
			if !errors.As(err, &wrong) || !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v", err)
			}
			if wrong.Line != tt.line || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("%v: want line %d and %q", err, tt.line, tt.words)
			}
		})
	}
}

// FuzzReplay: no text makes the reader or the policies fail in another way than
// with an error.
func FuzzReplay(f *testing.F) {
	head := `{"trace":{"format":1,"program":"x","began":"2026-01-31T12:00:00Z"}}` + "\n"
	b := recorded(f, story()...)
	f.Add(b)
	f.Add([]byte(head))
	f.Add([]byte(head + `{"dropped":18446744073709551615}` + "\n" + `{"told":{"action":"x"}}` + "\n"))
	f.Add(b[:len(b)/2])
	f.Fuzz(func(t *testing.T, text []byte) {
		n := 0
		sum, err := Replay(bytes.NewReader(text), Handler{Decision: func(engine.Decision) error { n++; return nil }})
		if n != sum.Decisions {
			t.Errorf("%d decisions, %d counted", n, sum.Decisions)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v", err)
		}
	})
}

// TestReplayOfOldTrace: a trace from before reasons were values and modes had numbers of
// their own is read, and leads to the same decisions.
func TestReplayOfOldTrace(t *testing.T) {
	text, err := os.ReadFile("testdata/words.trace")
	if err != nil {
		t.Fatal(err)
	}
	ds, diffs, sum := replayed(t, text)
	if len(diffs) > 0 || sum.Looks != 5 || len(ds) < 3 {
		t.Errorf("%+v, decisions %v, differences: %v", sum, ds, diffs)
	}
}
