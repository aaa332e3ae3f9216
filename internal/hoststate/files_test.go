package hoststate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestDirectoryIsMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", "mpproxy")
	record(t, open(t, dir), limits{1})
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != os.ModeDir|0o700 {
		t.Errorf("the directory has mode %v, want 0700", info.Mode())
	}
}

func TestFileIsPrivate(t *testing.T) {
	j := open(t, privateDir(t))
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	record(t, j, limits{1})
	info, err := os.Lstat(j.path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("the journal has mode %v, want 0600", info.Mode())
	}
}

// privateDir is a directory that only its owner may write to, whatever the
// umask.
func privateDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestUnusableDirectories(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(t.TempDir(), "dangling")
	if err := os.Symlink(filepath.Join(t.TempDir(), "nowhere"), dangling); err != nil {
		t.Fatal(err)
	}
	shared := privateDir(t)
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ dir, says string }{
		"a file":              {file, file},
		"below a file":        {filepath.Join(file, "x"), file},
		"a link to nowhere":   {dangling, dangling},
		"writable by anybody": {shared, "chmod o-w " + shared},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenJournal(tt.dir, "client")
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Open = %v, want an error with %q", err, tt.says)
			}
		})
	}
}

// TestDirectoryMayBeALink: /var/run is one.
func TestDirectoryMayBeALink(t *testing.T) {
	dir := privateDir(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	record(t, open(t, link), limits{3})
	var got limits
	if ok, err := open(t, dir).Pending("limits", &got); !ok || err != nil || got != (limits{3}) {
		t.Errorf("Pending = %v, %v, %+v by the directory's other name", ok, err, got)
	}
}

// TestNothingIsWrittenThroughALink: somebody who may write to the directory
// could have it point at a file of root's.
func TestNothingIsWrittenThroughALink(t *testing.T) {
	j := open(t, privateDir(t))
	precious := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(precious, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink(precious, j.path+".new"), os.Symlink(precious, j.path)); err != nil {
		t.Fatal(err)
	}
	record(t, j, limits{1})
	if b, err := os.ReadFile(precious); string(b) != "data" {
		t.Errorf("the file behind the link holds %q, %v", b, err)
	}
}

// TestLeftOverOfAnInterruptedWrite: the file that a crash left half-written is
// not read, and not in the way.
func TestLeftOverOfAnInterruptedWrite(t *testing.T) {
	dir := privateDir(t)
	j := open(t, dir)
	record(t, j, limits{1})
	if err := os.WriteFile(j.path+".new", []byte(`{"boot":`), 0o600); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	var got limits
	if ok, err := again.Pending("limits", &got); !ok || err != nil || got != (limits{1}) {
		t.Fatalf("Pending = %v, %v, %+v; want what was complete", ok, err, got)
	}
	record(t, again, limits{2})
	if err := again.Done("limits"); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 0 {
		t.Errorf("files left: %v", files)
	}
}

// TestFailedWritesChangeNothing: what could not be recorded is not pending, now
// or with the next write.
func TestFailedWritesChangeNothing(t *testing.T) {
	dir := privateDir(t)
	j := open(t, dir)
	record(t, j, limits{1})
	// Root may write everywhere, but not over a directory that is not empty.
	obstacle := filepath.Join(j.path+".new", "x")
	if err := os.MkdirAll(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := j.Record("limits", limits{2}); err == nil {
		t.Fatal("Record over an obstacle succeeded")
	}
	if err := j.Record("other", limits{2}); err == nil {
		t.Fatal("Record over an obstacle succeeded")
	}
	if err := os.RemoveAll(j.path + ".new"); err != nil {
		t.Fatal(err)
	}
	if err := j.Record("third", limits{3}); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	for key, want := range map[string]limits{"limits": {1}, "other": {}, "third": {3}} {
		var got limits
		if ok, err := again.Pending(key, &got); err != nil || got != want || ok != (want != limits{}) {
			t.Errorf("%s: Pending = %v, %v, %+v; want %+v", key, ok, err, got, want)
		}
	}
}

func TestFailedDoneStaysPending(t *testing.T) {
	dir := privateDir(t)
	j := open(t, dir)
	record(t, j, limits{1})
	if err := j.Record("other", limits{2}); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(j.path+".new", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := j.Done("limits"); err == nil {
		t.Fatal("Done could write over an obstacle")
	}
	if ok, err := j.Pending("limits", &limits{}); !ok || err != nil {
		t.Errorf("Pending = %v, %v after Done failed; want the entry", ok, err)
	}
}

func TestDoneWithoutRecord(t *testing.T) {
	if err := open(t, privateDir(t)).Done("limits"); err != nil {
		t.Errorf("Done = %v for what was never recorded, want nil", err)
	}
}

func TestRecordOfWhatIsNoJSON(t *testing.T) {
	j := open(t, privateDir(t))
	if err := j.Record("f", func() {}); err == nil {
		t.Error("Record kept a function")
	}
	if ok, _ := j.Pending("f", new(any)); ok {
		t.Error("a failed Record is pending")
	}
}

func TestPendingOfAnotherType(t *testing.T) {
	j := open(t, privateDir(t))
	if err := j.Record("limits", "a string"); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Pending("limits", &limits{}); err == nil || !strings.Contains(err.Error(), "limits") {
		t.Errorf("Pending = %v, want an error that names the entry", err)
	}
}

// TestJournalsOfOthersAreLeftAlone: client and concentrator may share a
// directory.
func TestJournalsOfOthersAreLeftAlone(t *testing.T) {
	dir := privateDir(t)
	record(t, open(t, dir), limits{1})
	other, err := OpenJournal(dir, "concentrator")
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := other.Pending("limits", &limits{}); ok || err != nil {
		t.Errorf("Pending = %v, %v: the concentrator sees the client's entry", ok, err)
	}
}
