package trace

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
	"mpproxy/pathctl/reason"
)

// entries reads a whole trace.
func entries(t *testing.T, path string) (all []Entry) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for r := NewReader(f); ; {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		e.Line = 0
		all = append(all, e)
	}
}

// TestRoundTrip: what is recorded is read again, exactly.
func TestRoundTrip(t *testing.T) {
	looks := story()
	own := looks[3]
	own.Mode, own.Token, own.Number = "my-mode", 1, math.MaxUint64
	own.Conn.Params.StallRTTs, own.Conn.Prefer, own.Conn.Role = 3.7, []string{"lte0", "dsl0"}, policy.Concentrator
	own.Conn.Received, own.Conn.Subflows[0].LossRate, own.Conn.Subflows[0].LossKnown = math.MaxUint64, 0.1+0.2, true
	own.Conn.Mode, own.Conn.Params.Own = mode.Lazy, mode.LazyDefaults
	own.Memory = policy.Memory{
		Best: "dsl0", Since: 1, Rival: "lte0",
		Own:     &mode.LazyMemory{Turn: 3, GuardMemory: mode.GuardMemory{Mark: 1 << 63}, Active: true},
		Notes:   []policy.Note{{Path: "lte0", Reason: reason.Reason{Text: "loss"}, Failures: 2, Until: 99}},
		Watches: []policy.Watch{{ID: 1, Sign: policy.SignLoss, Since: 5}},
	}
	own.Plan.Probe = []string{"dsl0"}
	own.Outcomes = append(own.Outcomes, nil)
	looks = append(looks, own)
	told := engine.Decision{When: began, Token: token.String(), Action: engine.ActionFailed, Path: "dsl0", Reason: engine.ReasonReset, Why: "the subflow ended: reset"}

	path := record(t, Config{Program: "test"}, func(r *Recorder) {
		for _, l := range looks {
			r.Looked(l)
		}
		r.Told(told)
	})
	var want []Entry
	for _, l := range looks {
		want = append(want, Entry{Look: &l})
	}
	want = append(want, Entry{Told: &told})
	if diff := cmp.Diff(want, entries(t, path)); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
}

// TestDefaultParams: a policy takes the zero value for its mode's numbers, and
// the trace says which.
func TestDefaultParams(t *testing.T) {
	l := story()[0]
	l.Conn.Params = policy.Params{}
	path := record(t, Config{}, func(r *Recorder) { r.Looked(l) })
	if got := entries(t, path)[0].Look.Conn.Params; got != policy.DefaultParams(mode.Handover) {
		t.Errorf("params: %+v", got)
	}
}

// TestModeThatChanges: a mode that gets other numbers is defined anew.
func TestModeThatChanges(t *testing.T) {
	one := story()[0]
	other := one
	other.Conn.Params.StallTimeout *= 2
	path := record(t, Config{}, func(r *Recorder) {
		r.Looked(one)
		r.Looked(other)
		r.Looked(one)
	})
	got := entries(t, path)
	if diff := cmp.Diff([]Entry{{Look: &one}, {Look: &other}, {Look: &one}}, got); diff != "" {
		t.Error(diff)
	}
}

// TestSlowDisk: a recorder that does not get to writing never blocks, and says
// what is missing.
func TestSlowDisk(t *testing.T) {
	const tooMany = 100
	path := filepath.Join(t.TempDir(), "trace")
	r, err := Create(Config{Path: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := story()[0]
	for range queued + tooMany { // nobody writes yet
		r.Looked(l)
	}
	r.finish()
	got := entries(t, path)
	if len(got) != queued+1 {
		t.Fatalf("%d entries, want %d", len(got), queued+1)
	}
	var dropped uint64
	for _, e := range got {
		dropped += e.Dropped
	}
	if dropped != tooMany {
		t.Errorf("%d dropped, want %d", dropped, tooMany)
	}
}

func TestRotation(t *testing.T) {
	const looks = 500
	path := record(t, Config{Limit: MinLimit}, func(r *Recorder) {
		l := story()[1]
		for i := range looks {
			l.Number = uint64(i + 1)
			r.Looked(l)
		}
	})
	var size int64
	var numbers []uint64
	for _, part := range []string{path + ".1", path} {
		info, err := os.Stat(part)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
		for _, e := range entries(t, part) {
			numbers = append(numbers, e.Look.Number)
		}
	}
	if most := int64(MinLimit) + 8<<10; size > most { // the last lines of both parts go over
		t.Errorf("%d bytes", size)
	}
	first := numbers[0]
	for i, n := range numbers {
		if n != first+uint64(i) {
			t.Fatalf("entry %d is look %d", i, n)
		}
	}
	if numbers[len(numbers)-1] != looks || first == 1 {
		t.Errorf("looks %d to %d were kept", first, numbers[len(numbers)-1])
	}
}

func TestCreateFails(t *testing.T) {
	dir := t.TempDir()
	if _, err := Create(Config{Path: filepath.Join(dir, "none", "trace")}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := Create(Config{Path: filepath.Join(dir, "trace"), Limit: MinLimit - 1}, nil); err == nil {
		t.Error("a limit below the least one was taken")
	}
	if err := os.Symlink("elsewhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(Config{Path: filepath.Join(dir, "link")}, nil); err == nil {
		t.Error("a symbolic link was followed")
	}
}

// TestUnwritable: a value that has no JSON form ends the trace, and what came
// before can be read.
func TestUnwritable(t *testing.T) {
	good, bad := story()[0], story()[1]
	bad.Conn.Subflows[0].LossRate = math.NaN()
	path := record(t, Config{}, func(r *Recorder) {
		r.Looked(good)
		r.Looked(bad)
		r.Looked(good)
	})
	if n := len(entries(t, path)); n != 1 {
		t.Errorf("%d entries", n)
	}
}

// TestNoPayloadOfModes: the numbers of a mode stand in the trace once.
func TestNoPayloadOfModes(t *testing.T) {
	if n := bytes.Count(recorded(t, story()...), []byte("StallTimeout")); n != 1 {
		t.Errorf("the mode's numbers stand there %d times", n)
	}
}
