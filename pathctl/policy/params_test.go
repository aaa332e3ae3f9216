package policy

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDefaultsAreValid(t *testing.T) {
	for _, s := range BuiltIn() {
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}

// TestTableIsComplete: each field has one line, each line a readable range and
// a sentence.
func TestTableIsComplete(t *testing.T) {
	p := DefaultParams(Aggregate)
	seen := map[any]string{}
	keys := map[string]bool{}
	for _, d := range paramTable {
		if f := d.field(&p); seen[f] != "" {
			t.Errorf("%s and %s are the same field", seen[f], d.Key)
		} else {
			seen[f] = d.Key
		}
		if keys[d.Key] {
			t.Errorf("%s stands twice", d.Key)
		}
		keys[d.Key] = true
		if len(strings.Fields(d.Doc)) < 3 {
			t.Errorf("%s: %q explains nothing", d.Key, d.Doc)
		}
		text, err := p.Get(d.Key)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{d.Min, d.Max, text} {
			q := p
			if err := q.Set(d.Key, s); err != nil {
				t.Error(err)
			}
			if got, _ := q.Get(d.Key); s == text && got != text {
				t.Errorf("%s: %s reads back as %s", d.Key, text, got)
			}
		}
	}
	if n := reflect.TypeFor[Params]().NumField(); n != len(paramTable) {
		t.Errorf("%d fields, %d lines", n, len(paramTable))
	}
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
			p := DefaultParams(Aggregate)
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
			if p != DefaultParams(Aggregate) {
				t.Error("the numbers were changed")
			}
		})
	}
}

func TestValidateFindsEveryMistake(t *testing.T) {
	p := DefaultParams(Streaming)
	p.StallTimeout, p.BlockCheck, p.MaxSubflows = 0, 2*time.Second, 1
	var keys []string
	for _, err := range p.Validate().(interface{ Unwrap() []error }).Unwrap() {
		if pe, ok := errors.AsType[*ParamError](err); ok {
			keys = append(keys, pe.Key)
		}
	}
	if diff := cmp.Diff([]string{"stall_timeout", "block_check", "subflows"}, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestSpec(t *testing.T) {
	for _, tt := range []struct {
		spec Spec
		err  string
	}{
		{Spec{"handover", Handover, DefaultParams(Handover)}, ""},
		{Spec{"calls", Interactive, DefaultParams(Interactive)}, ""},
		{Spec{"single", Handover, DefaultParams(Handover)}, "built in"},
		{Spec{"A+B", Handover, DefaultParams(Handover)}, "mode name"},
		{Spec{"calls", "fast", DefaultParams(Handover)}, "unknown mode"},
		{Spec{"calls", Interactive, Params{}}, "not allowed"},
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
