package scene

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"mpproxy/test/netns"
)

// Patience bounds every wait: far more than anything takes on a loaded machine.
const Patience = 40 * time.Second

// Patient returns a context that ends with the test or with patience.
func Patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Eventually waits for something that gives no event of its own: a state of the
// kernel or of another process. The function returns what is not yet as it
// should be, empty when all is.
func Eventually(t *testing.T, what string, not func() string) {
	t.Helper()
	ctx := Patient(t)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		why := not()
		if why == "" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %s", what, why)
		}
	}
}

// Saw waits for a line of a program's output and returns it.
func Saw(t *testing.T, p *netns.Process, text string) string {
	t.Helper()
	line, err := p.WaitOutput(Patient(t), text)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// Ended waits for the end of a program and returns its exit status.
func Ended(t *testing.T, p *netns.Process) error {
	t.Helper()
	err := p.Wait(Patient(t))
	select {
	case <-p.Done():
	default:
		t.Fatalf("%s does not end: %v", p.Name(), err)
	}
	return err
}

// IsTimeout says whether a deadline passed.
func IsTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
