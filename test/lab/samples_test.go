package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/test/lab/publish"
)

// TestSamplesStayOutOfTheDocuments: samples are many and differ in each run.
func TestSamplesStayOutOfTheDocuments(t *testing.T) {
	docs, samples := t.TempDir(), filepath.Join(t.TempDir(), "samples")
	res := result{rows: []publish.Row{{Experiment: "backup", Quantity: "goodput", Stock: 40, Ours: 99.5, Runs: 10}}, samples: []publish.Sheet{{Name: "each", Header: []string{"ms"}, Rows: [][]string{{"1"}, {"2"}}}}}
	o := options{out: docs, samples: samples}
	if err := o.keep("backup", res); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(samples, "backup-each.csv")); err != nil || string(got) != "ms\n1\n2\n" {
		t.Errorf("samples: %q, %v", got, err)
	}
	files, err := filepath.Glob(filepath.Join(docs, "lab", "*"))
	if want := []string{filepath.Join(docs, "lab", "summary.csv")}; err != nil || !cmp.Equal(want, files) {
		t.Errorf("documents: %q, %v, want %q", files, err, want)
	}
}
