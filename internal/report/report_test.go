package report

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mpproxy/config"
	"mpproxy/config/tomlfile"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
	"mpproxy/pathctl/reason"
	"mpproxy/pathctl/trace"
)

var someDecision = engine.Decision{
	When: time.Date(2026, 1, 31, 12, 0, 0, 123456789, time.Local), Destination: "dest.example:80", Mode: "handover",
	Action: engine.ActionBackup, Path: "lte0", Reason: engine.ReasonMode, Why: "dsl0 carries the data",
}

func TestPrintDecision(t *testing.T) {
	var out bytes.Buffer
	if err := PrintDecision(&out, someDecision, false); err != nil {
		t.Fatal(err)
	}
	if want := "12:00:00.123  make backup lte0: dsl0 carries the data  (dest.example:80, handover)\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
	out.Reset()
	if err := PrintDecision(&out, someDecision, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"action":"make backup"`, `"reason":"mode"`, `"why":"dsl0 carries the data"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is not in %s", want, out.String())
		}
	}
}

// traceOf writes a trace of one look whose recorded plan is plan.
func traceOf(t *testing.T, edit func(*engine.Look)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trace")
	rec, err := TraceFlags{Trace: path}.Recorder("test", config.PathManagerUserSpace, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := engine.Look{
		When: someDecision.When, Token: 1, Destination: "dest.example:80", Mode: "aggregate", Number: 1,
		Conn:  policy.Conn{Mode: mode.Aggregate, Age: time.Second, Subflows: []policy.Subflow{{ID: 1, Path: "dsl0", Established: true}}},
		Paths: []policy.Path{{Name: "dsl0", Rank: 1, Up: true}, {Name: "lte0", Rank: 2, Up: true}},
	}
	l.Plan, _ = policy.Decide(l.Conn, l.Paths, l.Memory)
	for _, s := range engine.Changes(l.Conn, l.Plan) {
		l.Outcomes = append(l.Outcomes, &engine.Decision{
			When: l.When, Token: l.Token.String(), Destination: l.Destination, Mode: l.Mode,
			Action: s.Action, Path: s.Path, Reason: engine.Reason(s.Reason.Class), Why: s.Reason.String(),
		})
	}
	edit(&l)
	rec.Looked(l)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := rec.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return path
}

func replayFile(t *testing.T, path string, asJSON bool) (out, notes string, err error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var o, n bytes.Buffer
	err = replay(f, &o, &n, asJSON)
	return o.String(), n.String(), err
}

func TestReplay(t *testing.T) {
	out, notes, err := replayFile(t, traceOf(t, func(*engine.Look) {}), false)
	if err != nil || !strings.HasPrefix(out, "12:00:00.123  create lte0: ") || strings.Count(out, "\n") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
	if want := "1 looks at 1 connections, 1 decisions\n"; notes != want {
		t.Errorf("notes %q, want %q", notes, want)
	}
}

func TestReplayTellsDifferences(t *testing.T) {
	path := traceOf(t, func(l *engine.Look) { l.Plan.Create[0].Reason = reason.Reason{Text: "a whim"} })
	out, notes, err := replayFile(t, path, true)
	if !errors.Is(err, ErrDiffers) || !strings.Contains(out, `"action":"create"`) {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(notes, "line 3, connection 0x00000001 to dest.example:80") || !strings.Contains(notes, "a whim") {
		t.Errorf("notes:\n%s", notes)
	}
	if err := (ReplayCmd{File: path}).Run(); !errors.Is(err, ErrDiffers) {
		t.Errorf("the command: %v", err)
	}
}

func TestReplayTellsGaps(t *testing.T) {
	path := traceOf(t, func(l *engine.Look) { l.Number = 7 })
	if _, notes, err := replayFile(t, path, false); err != nil || !strings.Contains(notes, "something is missing") {
		t.Errorf("%v\n%s", err, notes)
	}
}

func TestReplayCorrupt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace")
	if err := os.WriteFile(path, []byte("no trace\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (ReplayCmd{File: path}).Run(); !errors.Is(err, trace.ErrCorrupt) || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("%v", err)
	}
	if err := (ReplayCmd{File: path + ".none"}).Run(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestTraceFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace")
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	if rec, err := (TraceFlags{}).Recorder("test", config.PathManagerKernel, logger); rec != nil || err != nil || log.Len() > 0 {
		t.Errorf("without the flag: %v, %v, %s", rec, err, log.String())
	}
	for limit, ok := range map[string]bool{"64KiB": true, "1GB": true, "63KiB": false, "much": false, "-1": false} {
		_, err := TraceFlags{Trace: path, TraceLimit: limit}.Recorder("test", config.PathManagerUserSpace, logger)
		if (err == nil) != ok {
			t.Errorf("%s: %v", limit, err)
		}
		var mistake *tomlfile.Error
		if err != nil && !errors.As(err, &mistake) {
			t.Errorf("%s: %v is no mistake of the command line", limit, err)
		}
	}
	if _, err := (TraceFlags{Trace: path}).Recorder("test", config.PathManagerKernel, logger); err != nil || !bytes.Contains(log.Bytes(), []byte("stay empty")) {
		t.Errorf("kernel: %v, %s", err, log.String())
	}
}
