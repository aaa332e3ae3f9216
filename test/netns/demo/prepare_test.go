//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSweepSparesTheLiving(t *testing.T) {
	tmp := t.TempDir()
	alive, dead, other := filepath.Join(tmp, dirPrefix+"alive"), filepath.Join(tmp, dirPrefix+"dead"), filepath.Join(tmp, "other")
	for _, dir := range []string{alive, dead, other} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := lock(alive); err != nil {
		t.Fatal(err)
	}
	sweep(tmp)
	for dir, want := range map[string]bool{alive: true, dead: false, other: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %t, want %t", filepath.Base(dir), err == nil, want)
		}
	}
}

func TestExplain(t *testing.T) {
	tests := []struct {
		err  error
		want string // what to do
	}{
		{errNoMPTCP, "use Linux 6.1 or later"},
		{fmt.Errorf("%w (%w)", errNamespaces, unix.EPERM), "run this as root"},
		{&exec.Error{Name: "go", Err: exec.ErrNotFound}, "install Go"},
		{errTooLong, "was ended after 55s"},
	}
	for _, tt := range tests {
		if got := explain(tt.err); !strings.Contains(got, tt.want) {
			t.Errorf("%v is explained as %q, without %q", tt.err, got, tt.want)
		}
	}
}
