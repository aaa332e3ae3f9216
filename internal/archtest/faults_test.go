package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFaultsHaveScenarios: each scenario that docs/faults.md names exists, in the area
// that it names.
func TestFaultsHaveScenarios(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "faults.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, row := range regexp.MustCompile(`\| ([a-z]+): (Test[\w, ]+) \|`).FindAllStringSubmatch(string(page), -1) {
		files, err := filepath.Glob(filepath.Join(root, "test", "scenarios", row[1], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		var area strings.Builder
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			area.Write(text)
		}
		for name := range strings.SplitSeq(row[2], ", ") {
			if named++; !strings.Contains(area.String(), "func "+name+"(") {
				t.Errorf("there is no scenario %s in area %s", name, row[1])
			}
		}
	}
	if rows := strings.Count(string(page), "| **"); named < rows {
		t.Errorf("%d scenarios are named in %d rows", named, rows)
	}
}
