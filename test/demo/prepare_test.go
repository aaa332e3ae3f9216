//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

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
