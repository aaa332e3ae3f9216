package tomlfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWritePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	file := filepath.Join(dir, "secret")
	if err := WritePrivate(file, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := WritePrivate(file, []byte("two")); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "is not overwritten") {
		t.Errorf("second write: %v", err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory's mode is %v, %v", info.Mode(), err)
	}
	if text, _ := os.ReadFile(file); string(text) != "one" {
		t.Errorf("the file has %q", text)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("a temporary file is left: %v, %v", entries, err)
	}
}

func TestUnreadableFile(t *testing.T) {
	err := explain("/etc/x", &fs.PathError{Op: "open", Path: "/etc/x", Err: fs.ErrPermission}) // root reads everything
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "run as its owner") {
		t.Error(err)
	}
}
