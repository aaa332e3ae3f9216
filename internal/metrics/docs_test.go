package metrics

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestDocumented: the table of docs/observing.md has every metric and no other.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/observing.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("`(mpproxy_[a-z_]+)`").FindAllSubmatch(text, -1) {
		documented = append(documented, string(m[1]))
	}
	for _, name := range ours() {
		if !slices.Contains(documented, name) {
			t.Errorf("%s is not documented", name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(ours(), name) {
			t.Errorf("%s is documented, and not there", name)
		}
	}
}
