package networks

import (
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
)

// stateful gives links boxes that keep state for each connection, and know all that
// begins from now on.
func stateful(t *testing.T, m link.Middlebox, links ...*netns.Link) {
	t.Helper()
	for _, l := range links {
		if err := l.SetMiddlebox(m); err != nil {
			t.Fatal(err)
		}
	}
}

// loses has the boxes of links forget everything.
func loses(t *testing.T, links ...*netns.Link) {
	t.Helper()
	for _, l := range links {
		if err := l.Forget(); err != nil {
			t.Fatal(err)
		}
	}
}
