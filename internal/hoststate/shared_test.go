package hoststate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakeSettings puts files of a test in the place of the kernel's, with these values by
// the name in /proc/sys.
func fakeSettings(t testing.TB, values map[string]string) (value func(name string) string) {
	t.Helper()
	dir := t.TempDir()
	real := procSys
	procSys = dir + "/"
	t.Cleanup(func() { procSys = real })
	for name, v := range values {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(v+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
}

const (
	byName   = "net/mptcp/path_manager"
	byNumber = "net/mptcp/pm_type"
	secret   = "net/core/secret"
)

func modern() map[string]string {
	return map[string]string{byName: "kernel", byNumber: "0", "net/mptcp/blackhole_timeout": "3600", "net/ipv4/tcp_wmem": "4096\t16384\t4194304", secret: "1"}
}

func join(t testing.TB, dir string) *Shared {
	t.Helper()
	s, err := OpenShared(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func take(t *testing.T, s *Shared, set *Setting) {
	t.Helper()
	if _, _, err := s.Take(set); err != nil {
		t.Fatal(err)
	}
}

// TestLastOneOut: whoever stops first, the last one puts the path manager back, and
// nobody takes it from under another.
func TestLastOneOut(t *testing.T) {
	for _, values := range []map[string]string{modern(), {byNumber: "0"}} {
		file, ours, before := byName, "userspace", "kernel"
		if values[byName] == "" {
			file, ours, before = byNumber, "1", "0"
		}
		for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
			t.Run(fmt.Sprint(file, order), func(t *testing.T) {
				value := fakeSettings(t, values)
				dir := privateDir(t)
				var all []*Shared
				for range order {
					s := join(t, dir)
					if err := s.Restore(); err != nil {
						t.Fatal(err)
					}
					take(t, s, PathManager)
					all = append(all, s)
				}
				for i, n := range order {
					if got := value(file); got != ours {
						t.Errorf("%s is %q before stop %d, want %q", file, got, i, ours)
					}
					if err := errors.Join(all[n].Return(PathManager), all[n].Close()); err != nil {
						t.Fatal(err)
					}
				}
				if got := value(file); got != before {
					t.Errorf("%s is %q after the last stop, want %q", file, got, before)
				}
				if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
					t.Errorf("left: %v", left)
				}
			})
		}
	}
}

// TestKilled: what a killed program has changed stays while another one needs it, and is
// put back by whoever comes or goes last.
func TestKilled(t *testing.T) {
	value := fakeSettings(t, modern())
	dir := privateDir(t)
	killed, other := join(t, dir), join(t, dir)
	take(t, killed, PathManager)
	take(t, other, PathManager)
	must(t, killed.Close())
	next := join(t, dir)
	if err := next.Restore(); err != nil {
		t.Fatal(err)
	}
	if got := value(byName); got != "userspace" {
		t.Errorf("the path manager is %q while another program holds it", got)
	}
	take(t, next, Blackhole)
	if err := next.Restore(); err != nil {
		t.Fatal(err)
	}
	if got := value("net/mptcp/blackhole_timeout"); got != "0" {
		t.Errorf("the timeout that this program holds has become %q", got)
	}
	must(t, other.Close())
	if err := next.Restore(); err != nil {
		t.Fatal(err)
	}
	if got := value(byName); got != "kernel" {
		t.Errorf("the path manager is %q after all were killed", got)
	}
}

// TestNotOurs: what somebody else had made so before, or has changed since, is left.
func TestNotOurs(t *testing.T) {
	values := modern()
	values[byName] = "userspace"
	value := fakeSettings(t, values)
	s := join(t, privateDir(t))
	if before, changed, err := s.Take(PathManager); before != "userspace" || changed || err != nil {
		t.Fatalf("Take = %q, %v, %v", before, changed, err)
	}
	take(t, s, Blackhole)
	if err := os.WriteFile(procSys+"net/mptcp/blackhole_timeout", []byte("77"), 0o600); err != nil {
		t.Fatal(err)
	}
	if now, err := s.Lost(Blackhole); now != "77" || err != nil {
		t.Errorf("Lost = %q, %v", now, err)
	}
	for _, set := range []*Setting{PathManager, Blackhole} {
		if err := s.Return(set); err != nil {
			t.Fatal(err)
		}
	}
	if pm, timeout := value(byName), value("net/mptcp/blackhole_timeout"); pm != "userspace" || timeout != "77" {
		t.Errorf("path manager %q, timeout %q", pm, timeout)
	}
}

// TestOldJournal: what an earlier version has written into a program's own journal is
// put back.
func TestOldJournal(t *testing.T) {
	values := modern()
	values[byNumber], values["net/ipv4/tcp_wmem"] = "1", "8388608 262144 4194304"
	delete(values, byName)
	value := fakeSettings(t, values)
	dir := privateDir(t)
	old := open(t, dir)
	record(t, old, limits{1})
	for key, e := range map[string]saved{
		"mptcp.path_manager": {procSys + byNumber, "0", "1"},
		"tcp_wmem":           {procSys + "net/ipv4/tcp_wmem", "4096 16384 4194304", "8388608 262144 4194304"},
	} {
		if err := old.Record(key, e); err != nil {
			t.Fatal(err)
		}
	}
	if err := join(t, dir).Adopt(open(t, dir), "limits"); err != nil {
		t.Fatal(err)
	}
	if got := []string{value(byNumber), value("net/ipv4/tcp_wmem")}; !slices.Equal(got, []string{"0", "4096 16384 4194304"}) {
		t.Errorf("put back: %q", got)
	}
	if ok, err := open(t, dir).Pending("limits", &limits{}); !ok || err != nil {
		t.Errorf("the program's own entry: %v, %v", ok, err)
	}
}

// TestForgedJournals: nothing is written that mpproxy would not have written.
func TestForgedJournals(t *testing.T) {
	for name, entry := range map[string]string{
		"another file":       `"mptcp.path_manager": {"Path": "PROC/net/core/secret", "Before": "kernel", "Set": "1"}`,
		"a way up":           `"mptcp.path_manager": {"Path": "PROC/net/mptcp/../core/secret", "Before": "kernel", "Set": "1"}`,
		"another key":        `"net.core.secret": {"Before": "2", "Set": "1"}`,
		"an unknown word":    `"mptcp.path_manager": {"Before": "evil", "Set": "kernel"}`,
		"no number":          `"mptcp.blackhole_timeout": {"Before": "-1", "Set": "3600"}`,
		"too few numbers":    `"tcp_wmem": {"Before": "4096", "Set": "4096 16384 4194304"}`,
		"tiny numbers":       `"tcp_wmem": {"Before": "1 1 1", "Set": "4096 16384 4194304"}`,
		"of another type":    `"mptcp.path_manager": 7`,
		"not what it is now": `"mptcp.blackhole_timeout": {"Before": "1", "Set": "0"}`,
	} {
		t.Run(name, func(t *testing.T) {
			values := modern()
			value := fakeSettings(t, values)
			dir := privateDir(t)
			forge(t, dir, "{"+strings.ReplaceAll(entry, "PROC/", procSys)+"}")
			err := join(t, dir).Restore()
			if (err == nil) != (name == "not what it is now") {
				t.Errorf("Restore = %v", err)
			}
			for file, want := range values {
				if got := value(file); got != want {
					t.Errorf("%s is %q, was %q", file, got, want)
				}
			}
			if err := join(t, dir).Restore(); err != nil {
				t.Errorf("said again: %v", err)
			}
		})
	}
}

// forge writes a journal of the settings for this boot and network namespace.
func forge(t testing.TB, dir, entries string) {
	t.Helper()
	j, err := openJournal(dir, sharedJournal)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	b := fmt.Sprintf(`{"boot": %q, "entries": %s}`, j.data.Boot, entries)
	if err := os.WriteFile(j.path, []byte(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// FuzzJournal: whatever stands in the journal, and wherever it was cut off, no other file
// is touched, and settings have values that mpproxy may give them.
func FuzzJournal(f *testing.F) {
	f.Add(`{"mptcp.path_manager": {"Before": "kernel", "Set": "userspace"}}`, 1000, "userspace", false)
	f.Add(`{"mptcp.path_manager": {"Path": "/etc/passwd", "Before": "kernel", "Set": "userspace"}}`, 40, "kernel", true)
	f.Add(`{"tcp_wmem": {"Before": "4096 16384 4194304", "Set": "x"}, "limits": [1]}`, 1000, "kernel", false)
	f.Fuzz(func(t *testing.T, entries string, cut int, now string, link bool) {
		values := modern()
		values[byName] = now
		value := fakeSettings(t, values)
		dir := privateDir(t)
		forge(t, dir, entries)
		j, err := filepath.Glob(filepath.Join(dir, "*.settings"))
		if err != nil || len(j) != 1 {
			t.Fatal(j, err)
		}
		if info, err := os.Stat(j[0]); err == nil && cut >= 0 && int64(cut) < info.Size() {
			_ = os.Truncate(j[0], int64(cut))
		}
		precious := filepath.Join(t.TempDir(), "precious")
		if err := os.WriteFile(precious, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if link {
			if err := os.Symlink(precious, j[0]+".new"); err != nil {
				t.Fatal(err)
			}
		}
		s := join(t, dir)
		_ = s.Restore()
		if _, _, err := s.Take(PathManager); err == nil {
			_ = s.Return(PathManager)
		}
		if b, err := os.ReadFile(precious); string(b) != "{}" || err != nil {
			t.Errorf("the file behind the link: %q, %v", b, err)
		}
		if got := value(secret); got != "1" {
			t.Errorf("%s is %q", secret, got)
		}
		if got := value(byName); got != strings.TrimSpace(now) && !isPathManager(got) {
			t.Errorf("the path manager is %q", got)
		}
	})
}
