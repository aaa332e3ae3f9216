package archtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNoMachinePaths: a file that names a directory of the machine that it was
// written on works on that machine only.
func TestNoMachinePaths(t *testing.T) {
	root := moduleRoot(t)
	bad := machinePaths(root, os.Getenv("HOME"), goEnv(t, "GOPATH"), goEnv(t, "GOMODCACHE"), goEnv(t, "GOCACHE"), goEnv(t, "GOROOT"))
	files := repositoryFiles(t, root)
	if len(files) < 50 {
		t.Fatalf("found only %d files in the repository", len(files))
	}
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue // deleted, not committed yet
		}
		if bytes.IndexByte(data[:min(len(data), 8<<10)], 0) >= 0 {
			continue // binary
		}
		for i, line := range bytes.Split(data, []byte("\n")) {
			if m := bad.Find(line); m != nil {
				t.Errorf("%s:%d names a place of one machine: %q", name, i+1, m)
			}
		}
	}
}

// machinePaths matches paths below well-known homes and below these
// directories. The words are put together here, so that this file does not
// match itself.
func machinePaths(dirs ...string) *regexp.Regexp {
	words := []string{"work", "root", "Users", "workspace", "tmp/go-build", "home/[a-z0-9_-]+/(go|src|git|work)"}
	alternatives := []string{strings.Join([]string{`[a-z0-9/]*/go`, "pkg", "mod", ""}, "/")}
	for _, w := range words {
		alternatives = append(alternatives, "/"+w+"/")
	}
	for _, d := range dirs {
		// One element is too little to tell a place from a word: "/src".
		if strings.Count(filepath.Clean(d), "/") >= 2 {
			alternatives = append(alternatives, regexp.QuoteMeta(filepath.Clean(d))+"/")
		}
	}
	return regexp.MustCompile(`(^|[^A-Za-z0-9_.~*$})-])(` + strings.Join(alternatives, "|") + `)`)
}

func TestMachinePaths(t *testing.T) {
	bad := machinePaths("/srv/checkout/mpproxy", "/src", "")
	slash := func(elements ...string) string { return "/" + strings.Join(elements, "/") }
	for text, want := range map[string]bool{
		`"` + slash("work", "main", "x"):               true,
		slash("root", "go", "bin"):                     true,
		"in " + slash("home", "a", "go", "x"):          true,
		"file://" + slash("go", "pkg", "mod", "x"):     true,
		"=" + slash("srv", "checkout", "mpproxy", "x"): true,
		"/home/a/.config/mpproxy":                      false,
		"net/work/x":                                   false,
		"/src/x":                                       false,
		"/etc/mpproxy/client.toml":                     false,
	} {
		if got := bad.MatchString(text); got != want {
			t.Errorf("%q matches: %v, want %v", text, got, want)
		}
	}
}

// repositoryFiles returns the names of the files that are, or will be, in the
// repository; of a tree without git, all.
func repositoryFiles(t *testing.T, root string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if out, err := cmd.Output(); err == nil {
		return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	var files []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (d.Name() == ".git" || d.Name() == "bin"):
			return filepath.SkipDir
		case d.Type().IsRegular():
			name, _ := filepath.Rel(root, path)
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(string(goTool(t, "env", name)))
}
