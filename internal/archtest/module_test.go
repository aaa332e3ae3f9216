package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// modulePath is what the import paths of this repository start with.
const modulePath = "mpproxy"

// pkg is what the rules look at: the part of `go list -json` that they need.
type pkg struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	Imports      []string
	Deps         []string
	TestImports  []string
	XTestImports []string
}

// name is the import path below the module: "pathctl/policy".
func (p pkg) name() string { return below(p.ImportPath) }

// all are the imports of the package and of its tests.
func (p pkg) all() []string {
	return append(append(append([]string(nil), p.Imports...), p.TestImports...), p.XTestImports...)
}

// below takes the module path off an import path; other paths stay.
func below(path string) string { return strings.TrimPrefix(path, modulePath+"/") }

// ours says whether an import path is one of this module.
func ours(path string) bool { return path == modulePath || strings.HasPrefix(path, modulePath+"/") }

// standard says whether an import path is the standard library's: its first
// element has no dot, and it is not ours.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".") && !ours(path)
}

// within says whether path is root or below it.
func within(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// loadPackages lists every package of the module.
func loadPackages(t *testing.T) []pkg {
	t.Helper()
	walk(t)
	out := goTool(t, "list", "-json=ImportPath,Dir,GoFiles,Imports,Deps,TestImports,XTestImports", modulePath+"/...")
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 10 {
		t.Fatalf("go list found %d packages: this is not the module", len(pkgs))
	}
	return pkgs
}

// walk opens every directory of the module. The go command counts what a test
// opens among its inputs, but not what other programs open for it: without this
// it would show an old result after a change elsewhere.
func walk(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(moduleRoot(t), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary file of somebody else's
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// moduleRoot is the directory of go.mod.
func moduleRoot(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(string(goTool(t, "list", "-m", "-f", "{{.Dir}}")))
}

// goTool runs the go command and returns what it printed.
func goTool(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}
