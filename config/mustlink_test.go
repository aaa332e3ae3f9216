package config

import (
	"testing"

	"mpproxy/config/joinlink"
)

func mustLink(t testing.TB, s string) joinlink.Link {
	t.Helper()
	l, err := joinlink.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
