package config

import (
	"os"
	"regexp"
	"testing"
)

// The examples in the documents are files that can be used as they are.
func TestDocumentedExamples(t *testing.T) {
	text, err := os.ReadFile("../docs/modes.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(examples) < 5 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, e := range examples {
		c, err := ParseClient(append([]byte("path_manager = \"userspace\"\n"), e[1]...), "example.toml")
		if err != nil || len(c.Warnings) > 0 {
			t.Errorf("%s\n%v, warnings %q", e[1], err, c.Warnings)
		}
	}
}
