package trace

import (
	"path/filepath"
	"testing"
)

// BenchmarkWrite is what a look costs the goroutine that writes, and says how
// much of the file it takes.
func BenchmarkWrite(b *testing.B) {
	r, err := Create(Config{Path: filepath.Join(b.TempDir(), "trace")}, nil)
	if err != nil {
		b.Fatal(err)
	}
	l := story()[2]
	r.write(entry{look: l}) // with its mode
	before := r.file.size
	r.write(entry{look: l})
	size := r.file.size - before
	b.ReportAllocs()
	for b.Loop() {
		r.write(entry{look: l})
	}
	b.ReportMetric(float64(size), "B/look")
	if err := r.file.close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLooked is what a look costs the controller.
func BenchmarkLooked(b *testing.B) {
	r, err := Create(Config{Path: filepath.Join(b.TempDir(), "trace")}, nil)
	if err != nil {
		b.Fatal(err)
	}
	l := story()[2]
	b.ReportAllocs()
	for b.Loop() {
		r.Looked(l)
		<-r.queue
	}
	if err := r.file.close(); err != nil {
		b.Fatal(err)
	}
}
