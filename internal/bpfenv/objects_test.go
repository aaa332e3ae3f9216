package bpfenv

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// programs returns the folders of the module that hold eBPF programs in C.
func programs(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".bpf.c") {
			dirs = append(dirs, filepath.Dir(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) == 0 {
		t.Fatal("there is no eBPF program")
	}
	return dirs
}

// origin reads objects.sha256 of a folder: which compiler made the objects, and the
// sums of the files that were read and written.
func origin(t *testing.T, dir string) (compiler string, sums map[string]string) {
	t.Helper()
	sums = make(map[string]string)
	for line := range strings.Lines(string(read(t, filepath.Join(dir, "objects.sha256")))) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "# "); ok {
			compiler = name
			continue
		}
		sum, name, _ := strings.Cut(line, "  ")
		sums[name] = sum
	}
	return compiler, sums
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestObjectsAreFresh wants the committed objects to be those that `make bpf` made
// of the sources as they are.
func TestObjectsAreFresh(t *testing.T) {
	for _, dir := range programs(t) {
		_, sums := origin(t, dir)
		for _, pattern := range []string{"generate.go", "*.bpf.*", "*_bpfe[bl].*"} {
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil || len(files) == 0 {
				t.Errorf("%s: no %s: %v", dir, pattern, err)
			}
			for _, f := range files {
				if sums[filepath.Base(f)] == "" {
					t.Errorf("%s is not in objects.sha256: run make bpf", f)
				}
			}
		}
		for name, want := range sums {
			sum := sha256.Sum256(read(t, filepath.Join(dir, name)))
			if got := hex.EncodeToString(sum[:]); got != want {
				t.Errorf("%s of %s has changed since the program was compiled: run make bpf", name, dir)
			}
		}
	}
}

// TestObjectsAreReproducible compiles the programs anew and wants the same bytes,
// where the compiler is the one that made the objects.
func TestObjectsAreReproducible(t *testing.T) {
	version, err := exec.Command("clang", "--version").Output()
	if err != nil {
		t.Skip("clang, with which the programs could be compiled anew: ", err)
	}
	here, _, _ := strings.Cut(string(version), "\n")
	for _, dir := range programs(t) {
		if compiler, _ := origin(t, dir); compiler != here {
			t.Skipf("the programs were compiled by %q, this is %q", compiler, here)
		}
		out := t.TempDir()
		compile(t, dir, out)
		made, err := filepath.Glob(filepath.Join(out, "*"))
		if err != nil || len(made) == 0 {
			t.Fatalf("%s: nothing was made: %v", dir, err)
		}
		for _, f := range made {
			if !bytes.Equal(read(t, f), read(t, filepath.Join(dir, filepath.Base(f)))) {
				t.Errorf("%s of %s is not what its source compiles to: run make bpf", filepath.Base(f), dir)
			}
		}
	}
}

// compile does what generate.go of a folder says, into another folder.
func compile(t *testing.T, dir, out string) {
	t.Helper()
	_, command, ok := strings.Cut(string(read(t, filepath.Join(dir, "generate.go"))), "//go:generate go tool bpf2go ")
	if !ok {
		t.Fatalf("%s: generate.go does not run bpf2go", dir)
	}
	command, _, _ = strings.Cut(command, "\n")
	args := append([]string{"tool", "bpf2go", "-output-dir", out}, strings.Fields(command)...)
	run := exec.Command("go", args...)
	run.Dir = dir
	run.Env = append(os.Environ(), "GOPACKAGE="+filepath.Base(dir))
	if output, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", dir, err, output)
	}
}
