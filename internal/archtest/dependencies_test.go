package archtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// requirement is one line of go.mod.
type requirement struct {
	Path, Version string
	Indirect      bool
}

func requirements(t *testing.T) []requirement {
	t.Helper()
	var mod struct{ Require []requirement }
	if err := json.Unmarshal(goTool(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	return mod.Require
}

// direct returns the requirements that a package of ours imports, or that go.mod
// says are imported.
func direct(all []requirement, pkgs []pkg) []requirement {
	used := map[string]bool{}
	for _, p := range pkgs {
		for _, imp := range p.all() {
			best := ""
			for _, r := range all {
				if within(imp, r.Path) && len(r.Path) > len(best) {
					best = r.Path
				}
			}
			used[best] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(r requirement) bool { return r.Indirect && !used[r.Path] })
}

// TestSocks5IsPinned: later versions of go-socks5 changed how much they read
// before the handler is called.
func TestSocks5IsPinned(t *testing.T) {
	const path, version = "github.com/things-go/go-socks5", "v0.1.3"
	for _, r := range requirements(t) {
		if r.Path == path {
			if r.Version != version {
				t.Errorf("%s is required at %s, want %s: docs/dependencies.md says why", path, r.Version, version)
			}
			return
		}
	}
	t.Errorf("go.mod does not require %s", path)
}

func TestDependenciesAreExplained(t *testing.T) {
	file := filepath.Join(moduleRoot(t), "docs", "dependencies.md")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("docs/dependencies.md is not written yet: nothing to compare go.mod with")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range unexplained(direct(requirements(t), loadPackages(t)), string(text)) {
		t.Errorf("docs/dependencies.md: %s", problem)
	}
}

// row is one line of the table "| module | version | reason |".
type row struct{ version, reason string }

func rows(text string) map[string]row {
	out := map[string]row{}
	for line := range strings.Lines(text) {
		cells := strings.SplitN(strings.Trim(strings.TrimSpace(line), "|"), "|", 3)
		if len(cells) < 3 || !strings.HasPrefix(strings.TrimSpace(line), "|") {
			continue
		}
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		if strings.Contains(cells[0], "/") || strings.Contains(cells[0], ".") { // not the head, not the dashes
			out[cells[0]] = row{cells[1], cells[2]}
		}
	}
	return out
}

// unexplained compares the modules with the table.
func unexplained(modules []requirement, text string) (problems []string) {
	table := rows(text)
	for _, m := range modules {
		r, ok := table[m.Path]
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("%s %s is missing: add | %s | %s | why we need it. |", m.Path, m.Version, m.Path, m.Version))
		case r.version != m.Version:
			problems = append(problems, fmt.Sprintf("%s is listed at %q, go.mod says %s", m.Path, r.version, m.Version))
		case len(strings.Fields(r.reason)) < 4 || !strings.HasSuffix(r.reason, "."):
			problems = append(problems, fmt.Sprintf("%s: %q is not a sentence that says why we need it", m.Path, r.reason))
		}
	}
	for path := range table {
		if !slices.ContainsFunc(modules, func(m requirement) bool { return m.Path == path }) {
			problems = append(problems, fmt.Sprintf("%s is listed, but no package imports it", path))
		}
	}
	slices.Sort(problems)
	return problems
}

func TestUnexplained(t *testing.T) {
	modules := []requirement{{Path: "a.example/x", Version: "v1.0.0"}, {Path: "a.example/y", Version: "v1.2.0"}, {Path: "a.example/z", Version: "v2.0.0"}}
	const good = `
| module | version | reason |
|---|---|---|
| a.example/x | v1.0.0 | It does what we need. |
| ` + "`a.example/y` | `v1.2.0`" + ` | Because it can | too. |
| a.example/z | v2.0.0 | The only one there is. |
`
	const bad = `
| a.example/x | v1.0.1 | It does what we need. |
| a.example/y | v1.2.0 | needed |
| a.example/gone | v1.0.0 | It did what we needed. |
`
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"good", good, nil},
		{"bad", bad, []string{
			`a.example/gone is listed, but no package imports it`,
			`a.example/x is listed at "v1.0.1", go.mod says v1.0.0`,
			`a.example/y: "needed" is not a sentence that says why we need it`,
			`a.example/z v2.0.0 is missing: add | a.example/z | v2.0.0 | why we need it. |`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, unexplained(modules, tt.text)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDirect(t *testing.T) {
	all := []requirement{
		{"a.example/x", "v1.0.0", true},
		{"a.example/x/sub", "v1.0.0", true},
		{"a.example/unused", "v1.0.0", true},
		{"a.example/said", "v1.0.0", false},
	}
	got := direct(all, []pkg{{Imports: []string{"fmt"}, XTestImports: []string{"a.example/x/sub/deep"}}})
	if diff := cmp.Diff([]requirement{all[1], all[3]}, got); diff != "" {
		t.Errorf("direct (-want +got):\n%s", diff)
	}
}
