package subopt_test

import (
	"testing"

	"go.uber.org/goleak"

	"mpproxy/test/netns"
)

func TestMain(m *testing.M) {
	// The error is repeated, and explained, by netns.Require in each test.
	_ = netns.Enter()
	goleak.VerifyTestMain(m)
}
