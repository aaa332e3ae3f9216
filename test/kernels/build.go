package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"mpproxy/test/netns/rig"
)

// built is what every guest gets, whatever its kernel.
type built struct {
	dir    string // test binaries, guest, and programs/ in it
	root   string // of the module's sources
	checks []check
}

// build compiles the programs, the guest's init and the tests, all without C
// libraries.
func build(ctx context.Context, root, dir string, checks []check) (*built, error) {
	b := &built{dir, root, checks}
	if err := os.MkdirAll(b.programs(), 0o755); err != nil {
		return nil, err
	}
	if err := rig.Build(ctx, b.programs()); err != nil {
		return nil, err
	}
	if err := rig.Build(ctx, dir, "mpproxy/test/kernels/guest"); err != nil {
		return nil, err
	}
	args := []string{"test", "-c", "-trimpath", "-ldflags=-s -w", "-o", dir + string(filepath.Separator)}
	for _, c := range checks {
		args = append(args, "./"+c.pkg)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the tests: %w\n%s", err, out)
	}
	return b, nil
}

func (b *built) programs() string { return filepath.Join(b.dir, "programs") }
