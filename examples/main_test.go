package examples

import (
	"path/filepath"
	"testing"

	"mpproxy/test/netns/rig/rigtest"
)

// built is the directory of the built programs.
var built string

func TestMain(m *testing.M) { rigtest.Main(m, &built, "mpproxy/examples/...") }

func program(name string) string { return filepath.Join(built, name) }
