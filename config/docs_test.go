package config

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/pathctl/policy"
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

// TestDocumentedModes: the table of modes has each mode once, and no other.
func TestDocumentedModes(t *testing.T) {
	text, err := os.ReadFile("../docs/modes.md")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+)`").FindAllSubmatch(text, -1) {
		got = append(got, string(m[1]))
	}
	for _, m := range policy.Modes() {
		want = append(want, string(m))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modes (-there are +docs/modes.md):\n%s", diff)
	}
}
