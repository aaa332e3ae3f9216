package subflowbpf_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"mpproxy/test/netns"
)

func TestMain(m *testing.M) {
	// The error is repeated, and explained, by netns.Require in each test.
	_ = netns.Enter()
	if os.Getenv(envChild) != "" {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
