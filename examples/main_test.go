package examples

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mpproxy/test/netns"
)

// envBin tells the process that netns.Enter starts where the programs are.
const envBin = "MPPROXY_EXAMPLES"

func TestMain(m *testing.M) {
	remove, err := build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = netns.Enter() // netns.Require repeats the error
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := remove(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// build builds the programs before a namespace is entered that has no network to
// fetch modules from.
func build() (remove func() error, err error) {
	if os.Getenv(envBin) != "" {
		return func() error { return nil }, nil
	}
	dir, err := os.MkdirTemp("", "mpproxy-examples-")
	if err != nil {
		return nil, err
	}
	remove = func() error { return os.RemoveAll(dir) }
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", dir+string(filepath.Separator), "./...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("go build: %w\n%s", err, out), remove())
	}
	return remove, os.Setenv(envBin, dir)
}

func program(name string) string { return filepath.Join(os.Getenv(envBin), name) }
