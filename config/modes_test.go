package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"mpproxy/config/credential"
	"mpproxy/config/joinlink"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

const someModes = `mode = "calls"
[modes.handover]
rto_threshold = "700ms"
hold = "1s"
[modes.streaming]
block = "1MB"
period = "2s"
loss_threshold = 0.25
[modes.patient]
base = "handover"
rto_threshold = "2s"
[modes.calls]
base = "interactive"
rtt_ratio = 2
max_subflows = 3
[modes.twin]
base = "lazy"
lazy_bytes = 500000
`

// TestModes: a mode of the user's own begins with what its base has in the file.
func TestModes(t *testing.T) {
	c, err := ParseClient([]byte(someModes), "f.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := policy.BuiltIn()
	for i := range want {
		p := &want[i].Params
		switch want[i].Base {
		case mode.Handover:
			p.RTOThreshold, p.Hold = 700*time.Millisecond, time.Second
		case mode.Streaming:
			set(t, p, "block", "1MB")
			set(t, p, "period", "2s")
			p.LossThreshold = 0.25
		}
	}
	own := func(name string, base policy.Mode, change func(*policy.Params)) {
		p := policy.DefaultParams(base)
		change(&p)
		want = append(want, policy.Spec{Name: name, Base: base, Params: p})
	}
	own("calls", mode.Interactive, func(p *policy.Params) {
		set(t, p, "rtt_ratio", "2")
		p.MaxSubflows = 3
	})
	own("patient", mode.Handover, func(p *policy.Params) { p.RTOThreshold, p.Hold = 2*time.Second, time.Second })
	own("twin", mode.Lazy, func(p *policy.Params) { set(t, p, "lazy_bytes", "500KB") })
	if diff := cmp.Diff(want, c.Modes); diff != "" {
		t.Error(diff)
	}
	if c.Mode != "calls" {
		t.Errorf("mode %q", c.Mode)
	}
	again, err := ParseClient(c.encode(joinlink.Link.URL, credential.Secret.Reveal), "f.toml")
	if diff := cmp.Diff(c, again, equal); diff != "" || err != nil {
		t.Errorf("printed and parsed again: %v\n%s", err, diff)
	}
}

func set(t *testing.T, p *policy.Params, key, text string) {
	t.Helper()
	if err := p.Set(key, text); err != nil {
		t.Fatal(err)
	}
}

// A number that a mode does not use must not keep others from being set.
func TestUnusedNumbersNeedNotFit(t *testing.T) {
	for _, text := range []string{
		"[modes.handover]\nmax_subflows = 1\n",
		"[modes.handover]\nloss_threshold = 0.02\n",
		"[modes.single]\nmax_subflows = 1\n",
	} {
		if _, err := ParseClient([]byte(text), "f.toml"); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestServerModes(t *testing.T) {
	s, err := ParseServer([]byte("mode = \"calm\"\n[modes.calm]\nbase = \"handover\"\nrto_threshold = \"2s\"\n"), "f.toml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := ModeNamed(s.Modes, s.Mode)
	if err != nil || got.Base != mode.Handover || got.Params.RTOThreshold != 2*time.Second {
		t.Errorf("%+v, %v", got, err)
	}
	again, err := ParseServer(s.encode(), "f.toml")
	if diff := cmp.Diff(s, again, equal); diff != "" || err != nil {
		t.Errorf("printed and parsed again: %v\n%s", err, diff)
	}
}

// TestEveryNumber: each number of each mode can be set to both ends of its range
// under the name that the reference has it by.
func TestEveryNumber(t *testing.T) {
	for _, m := range policy.Modes() {
		for _, p := range m.Params() {
			for _, end := range []string{p.Min, p.Max} {
				text := "[modes." + string(m) + "]\n" + p.Key + " = " + tomlNumber(p.Kind, end) + "\n"
				c, err := ParseClient([]byte(text), "f.toml")
				if err != nil {
					if strings.Contains(err.Error(), "does not fit") {
						continue // alone it may not
					}
					t.Errorf("%s: %v", text, err)
					continue
				}
				want := policy.DefaultParams(m)
				if err := want.Set(p.Key, end); err != nil {
					t.Fatal(err)
				}
				if got, _ := ModeNamed(c.Modes, string(m)); got.Params != want {
					t.Errorf("%s: got %+v", text, got.Params)
				}
			}
		}
	}
}

func TestModeNamed(t *testing.T) {
	if _, err := ModeNamed(policy.BuiltIn(), "handovr"); err == nil || !strings.HasSuffix(err.Error(), `; did you mean "handover"?`) {
		t.Error(err)
	}
}

// TestNumbersOfOldFiles: a file that somebody wrote for an earlier version is still read,
// each number as it stands there.
func TestNumbersOfOldFiles(t *testing.T) {
	for name, modes := range map[string]func([]byte) ([]policy.Spec, error){
		"testdata/modes-client.toml": func(text []byte) ([]policy.Spec, error) {
			c, err := ParseClient(text, "f.toml")
			return c.Modes, err
		},
		"testdata/modes-server.toml": func(text []byte) ([]policy.Spec, error) {
			s, err := ParseServer(text, "f.toml")
			return s.Modes, err
		},
	} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		specs, err := modes(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var tables struct {
			Modes map[string]map[string]any
		}
		if err := toml.Unmarshal(text, &tables); err != nil {
			t.Fatal(err)
		}
		for base, numbers := range tables.Modes {
			spec, err := ModeNamed(specs, base)
			if err != nil {
				t.Fatal(err)
			}
			for key, want := range numbers {
				got, _ := spec.Params.Get(key)
				if usual, _ := policy.DefaultParams(spec.Base).Get(key); got != fmt.Sprint(want) || got == usual {
					t.Errorf("%s: [modes.%s] %s is %s, want %v; the default is %s", name, base, key, got, want, usual)
				}
			}
		}
	}
}
