package mode

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	. "mpproxy/pathctl/policy"
)

func TestDefaultsAreValid(t *testing.T) {
	for _, s := range BuiltIn() {
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}

func everyParam() (all []Param) {
	for _, m := range Modes() {
		for _, p := range m.Params() {
			if !slices.ContainsFunc(all, func(o Param) bool { return o.Key == p.Key }) {
				all = append(all, p)
			}
		}
	}
	return all
}

// TestTablesAreComplete: each number of a mode has one line, each line a readable
// range, a sentence, and a number of its own.
func TestTablesAreComplete(t *testing.T) {
	for _, m := range Modes() {
		p := DefaultParams(m)
		values := func(p Params) map[string]string {
			all := map[string]string{}
			for _, d := range m.Params() {
				text, err := p.Get(d.Key)
				if err != nil {
					t.Fatal(err)
				}
				all[d.Key] = text
			}
			return all
		}
		usual := values(p)
		for _, d := range m.Params() {
			if len(strings.Fields(d.Doc)) < 3 {
				t.Errorf("%s: %q explains nothing", d.Key, d.Doc)
			}
			for _, s := range []string{d.Min, d.Max, usual[d.Key]} {
				q, want := p, maps.Clone(usual)
				if err := q.Set(d.Key, s); err != nil {
					t.Error(err)
				}
				got := values(q)
				want[d.Key] = got[d.Key]
				if diff := cmp.Diff(want, got); diff != "" || s == usual[d.Key] && got[d.Key] != s {
					t.Errorf("%s %s: set to %s, it is %s\n%s", m, d.Key, s, got[d.Key], diff)
				}
				if s != usual[d.Key] && got[d.Key] == usual[d.Key] {
					t.Errorf("%s %s: set to %s, it is still %s", m, d.Key, s, got[d.Key])
				}
			}
		}
		text, err := json.Marshal(p)
		var fields map[string]any
		if err := errors.Join(err, json.Unmarshal(text, &fields)); err != nil {
			t.Fatal(err)
		}
		unused := 0
		if !m.Traits().OnePath {
			unused = 2 // return_after and linger
		}
		if len(m.Params()) != len(usual) || len(fields) != len(usual)+unused {
			t.Errorf("%s: %d fields, %d lines, %d keys", m, len(fields), len(m.Params()), len(usual))
		}
	}
}

// modeWith returns a mode that has a number, or the default.
func modeWith(key string) Mode {
	for _, m := range Modes() {
		if slices.ContainsFunc(m.Params(), func(p Param) bool { return p.Key == key }) {
			return m
		}
	}
	return Default
}

func TestSet(t *testing.T) {
	for _, tt := range []struct {
		key, text, got, err string
	}{
		{"rto_threshold", "1s", "1s", ""},
		{"hold_max", "1h30m", "1h30m", ""},
		{"block", "65536", "64KiB", ""},
		{"lazy_bytes", "2 MB", "2MB", ""},
		{"lazy_bytes", "0", "0B", ""},
		{"loss_threshold", "0.25", "0.25", ""},
		{"subflows", "3", "3", ""},
		{"rto_threshold", "1ms", "", "rto_threshold: 1ms is not allowed: use 100ms to 2m"},
		{"rto_threshold", "soon", "", `rto_threshold: "soon" is not allowed: use a duration from 100ms to 2m`},
		{"loss_threshold", "NaN", "", "loss_threshold: NaN is not allowed: use 0.02 to 1"},
		{"lazy_bytes", "99999999999GB", "", `lazy_bytes: "99999999999GB" is not allowed: use a size from 0B to 1000GB`},
		{"subflows", "-1", "", "subflows: -1 is not allowed: use 1 to 8"},
		{"nonsense", "1", "", "nonsense: this key is not allowed: use one that the mode has"},
	} {
		t.Run(tt.key+"="+tt.text, func(t *testing.T) {
			m := modeWith(tt.key)
			p := DefaultParams(m)
			err := p.Set(tt.key, tt.text)
			if tt.err == "" {
				if got, _ := p.Get(tt.key); err != nil || got != tt.got {
					t.Errorf("got %q, %v, want %q", got, err, tt.got)
				}
				return
			}
			if err == nil || err.Error() != tt.err || !errors.Is(err, ErrParams) {
				t.Errorf("error %v, want %s", err, tt.err)
			}
			if p != DefaultParams(m) {
				t.Error("the numbers were changed")
			}
		})
	}
}

func TestValidateFindsEveryMistake(t *testing.T) {
	streaming := DefaultParams(Streaming)
	streaming.StallTimeout = 0
	streaming.Own = StreamingNumbers{Block: 1 << 20, Period: time.Second, BlockCheck: 2 * time.Second}
	ndiffports := DefaultParams(Ndiffports)
	ndiffports.StallTimeout, ndiffports.MaxSubflows = 0, 1
	for m, tt := range map[Mode]struct {
		params Params
		want   []string
	}{
		Streaming:  {streaming, []string{"stall_timeout", "block_check"}},
		Ndiffports: {ndiffports, []string{"stall_timeout", "subflows"}},
	} {
		var keys []string
		for _, err := range tt.params.Validate(m).(interface{ Unwrap() []error }).Unwrap() {
			if pe, ok := errors.AsType[*ParamError](err); ok {
				keys = append(keys, pe.Key)
			}
		}
		if diff := cmp.Diff(tt.want, keys); diff != "" {
			t.Errorf("%s: keys (-want +got):\n%s", m, diff)
		}
	}
}

func TestSpec(t *testing.T) {
	for _, tt := range []struct {
		spec Spec
		err  string
	}{
		{Spec{Name: "handover", Base: Handover, Params: DefaultParams(Handover)}, ""},
		{Spec{Name: "calls", Base: Interactive, Params: DefaultParams(Interactive)}, ""},
		{Spec{Name: "single", Base: Handover, Params: DefaultParams(Handover)}, "built in"},
		{Spec{Name: "A+B", Base: Handover, Params: DefaultParams(Handover)}, "mode name"},
		{Spec{Name: "calls", Base: "fast", Params: DefaultParams(Handover)}, "unknown mode"},
		{Spec{Name: "calls", Base: Interactive, Params: Params{}}, "not allowed"},
	} {
		err := tt.spec.Validate()
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s on %s: %v, want %q", tt.spec.Name, tt.spec.Base, err, tt.err)
		}
	}
}

func TestModeParams(t *testing.T) {
	has := func(m Mode, key string) bool {
		for _, d := range m.Params() {
			if d.Key == key {
				return true
			}
		}
		return false
	}
	for _, tt := range []struct {
		mode Mode
		key  string
		want bool
	}{{Handover, "rto_threshold", true}, {Handover, "return_after", true}, {Handover, "block", false}, {Streaming, "block", true}, {Lazy, "guard_loss", true}, {Single, "guard_loss", false}} {
		if has(tt.mode, tt.key) != tt.want {
			t.Errorf("%s has %s: want %v", tt.mode, tt.key, tt.want)
		}
	}
}

// TestUnknownModesHaveNoTraits: a leg that is for no mode must not be taken for one of the
// default mode, which begins on whatever path is quicker.
func TestUnknownModesHaveNoTraits(t *testing.T) {
	for _, m := range []Mode{"", "nonsense", Default + "x"} {
		if got := m.Traits(); got != (Traits{}) {
			t.Errorf("the mode %q has %+v, want no traits", m, got)
		}
	}
}
