package scenarios

import (
	"context"
	"testing"
	"time"

	"mpproxy/test/netns"
)

// patience bounds every wait: far more than anything takes on a loaded machine.
const patience = 40 * time.Second

// patient returns a context that ends with the test or with patience.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for something that gives no event of its own: a state of the
// kernel or of another process. The function returns what is not yet as it
// should be, empty when all is.
func eventually(t *testing.T, what string, not func() string) {
	t.Helper()
	ctx := patient(t)
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

// saw waits for a line of a program's output and returns it.
func saw(t *testing.T, p *netns.Process, text string) string {
	t.Helper()
	line, err := p.WaitOutput(patient(t), text)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// ended waits for the end of a program and returns its exit status.
func ended(t *testing.T, p *netns.Process) error {
	t.Helper()
	err := p.Wait(patient(t))
	select {
	case <-p.Done():
	default:
		t.Fatalf("%s does not end: %v", p.Name(), err)
	}
	return err
}
