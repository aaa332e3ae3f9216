package scene

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mpproxy/internal/status"
	"mpproxy/test/netns/rig"
)

// EventsOf returns what `events` prints.
func EventsOf(t *testing.T, r *rig.Rig) string {
	t.Helper()
	out, err := r.Client.Command(t.Context(), r.ClientBinary(), "events", "--config", r.ClientConfig()).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Missing wants the status to say that something is missing, what to do about
// it, and to say both to people, too.
func Missing(t *testing.T, st status.Status, text, what, advice string) {
	t.Helper()
	i := slices.IndexFunc(st.Missing, func(m status.Missing) bool { return m.What == what })
	if i < 0 {
		t.Errorf("the status does not say that %s is missing: %+v", what, st.Missing)
		return
	}
	m := st.Missing[i]
	if !strings.Contains(m.Advice, advice) || m.Effect == "" {
		t.Errorf("%s: effect %q, advice %q: want %q in it", what, m.Effect, m.Advice, advice)
	}
	if !strings.Contains(text, m.What+": "+m.Effect) || !strings.Contains(text, m.Advice) {
		t.Errorf("the status for people does not say it:\n%s", text)
	}
}

// TextOf returns what `status` prints at the client.
func TextOf(t *testing.T, r *rig.Rig) string {
	t.Helper()
	text, err := r.StatusText(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// GainsSubflow waits until the one connection of the status has a subflow on a
// path that may carry data: without a round trip none is established.
func GainsSubflow(t *testing.T, r *rig.Rig, path string) {
	t.Helper()
	Eventually(t, "a subflow on "+path, func() string {
		st := StatusOf(t, r)
		if len(st.Connections) != 1 {
			t.Fatalf("connections: %+v", st.Connections)
		}
		fs := st.Connections[0].Subflows
		if slices.ContainsFunc(fs, func(f status.Subflow) bool { return f.Path == path && !f.Backup && f.RTTMillis > 0 }) {
			return ""
		}
		return fmt.Sprintf("there are %+v", fs)
	})
}

// PathIs waits until the status says that a path is up, or that it is not.
func PathIs(t *testing.T, r *rig.Rig, name string, up bool) {
	t.Helper()
	Eventually(t, "path "+name, func() string {
		paths := StatusOf(t, r).Paths
		isUp := slices.ContainsFunc(paths, func(p status.Path) bool { return p.Name == name && p.State == "up" })
		if isUp != up {
			return fmt.Sprintf("up should be %v: %+v", up, paths)
		}
		return ""
	})
}

// Steers fails the test unless the client says that it steers.
func Steers(t *testing.T, st status.Status) {
	t.Helper()
	if st.PathManager.Backend != "userspace" || st.PathManager.Timeouts == "" {
		t.Fatalf("path manager: %+v", st.PathManager)
	}
}

// StatusOf returns what `status --json` prints at the client.
func StatusOf(t *testing.T, r *rig.Rig) status.Status {
	t.Helper()
	st, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}
