package buildinfo

import (
	"runtime"
	"strings"
	"testing"
)

func TestLinkerSetsVersion(t *testing.T) {
	old := version
	t.Cleanup(func() { version = old })
	version = "v9.8.7"
	if got := Version(); got != "v9.8.7" {
		t.Errorf("Version() = %q, want what the linker set", got)
	}
}

func TestVersionWithoutLinker(t *testing.T) {
	old := version
	t.Cleanup(func() { version = old })
	version = ""
	if Version() == "" {
		t.Error("there is no version")
	}
}

func TestStringIsOneLine(t *testing.T) {
	got := String("mpproxy-x")
	if !strings.HasPrefix(got, "mpproxy-x ") || strings.Contains(got, "\n") ||
		!strings.Contains(got, runtime.Version()) || !strings.Contains(got, runtime.GOOS+"/"+runtime.GOARCH) {
		t.Errorf("String = %q", got)
	}
}
