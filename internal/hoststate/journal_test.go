package hoststate

import (
	"os"
	"path/filepath"
	"testing"
)

type limits struct{ Subflows int }

func TestRecordSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	record(t, j, limits{8})
	record(t, j, limits{2})

	var got limits
	again := open(t, dir)
	if ok, err := again.Pending("limits", &got); err != nil || !ok || got != (limits{2}) {
		t.Fatalf("Pending after a restart = %v, %v, %+v; want the value recorded last", ok, err, got)
	}
	if err := again.Done("limits"); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 0 {
		t.Errorf("files left after everything was put back: %v", files)
	}
}

func TestEntriesOfAnEarlierBootAreDropped(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	j.data.Boot = "another"
	record(t, j, limits{2})
	if ok, err := open(t, dir).Pending("limits", &limits{}); ok || err != nil {
		t.Errorf("Pending = %v, %v; want nothing from an earlier boot", ok, err)
	}
}

func TestADamagedFileIsAnError(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	if err := os.WriteFile(j.path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenJournal(dir, "client"); err == nil {
		t.Error("Open accepted a damaged journal")
	}
}

func open(t *testing.T, dir string) *Journal {
	t.Helper()
	j, err := OpenJournal(dir, "client")
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func record(t *testing.T, j *Journal, l limits) {
	t.Helper()
	if err := j.Record("limits", l); err != nil {
		t.Fatal(err)
	}
}
