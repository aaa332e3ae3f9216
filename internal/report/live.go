package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"mpproxy/internal/admin"
	"mpproxy/internal/status"
	"mpproxy/pathctl/engine"
)

const (
	// shownConnections is how many connections are listed without --all.
	shownConnections = 20
	// rateInterval is how long the rates are measured.
	rateInterval = 500 * time.Millisecond
)

// StatusFlags are the flags of the command `status`.
type StatusFlags struct {
	JSON bool `name:"json" help:"Print JSON."`
	All  bool `help:"List every connection, not only the newest ones."`
}

// Show prints the status of a running program.
func (f StatusFlags) Show(t admin.Target) error {
	st, err := t.Status(context.Background(), rateInterval)
	if err != nil {
		return err
	}
	if f.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(st)
	}
	most := shownConnections
	if f.All {
		most = 0
	}
	return status.Render(os.Stdout, st, status.RenderOptions{MaxConnections: most})
}

// EventsFlags are the flags of the command `events`.
type EventsFlags struct {
	Follow bool `short:"f" help:"Go on showing what happens, also after a restart of the program."`
	JSON   bool `name:"json" help:"Print JSON, one object a line: decisions, and {\"skipped\":N} where N are missing."`
}

// Show prints the decisions of a running program.
func (f EventsFlags) Show(t admin.Target) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	opt := admin.EventsOptions{Follow: f.Follow, Waiting: func(err error) {
		reason := "it has stopped"
		if err != nil && !errors.Is(err, admin.ErrNotRunning) {
			reason = err.Error()
		}
		fmt.Fprintf(os.Stderr, "%s: %s; waiting for it to come back\n", t.Program, reason)
	}}
	return t.Events(ctx, opt, func(raw json.RawMessage) error { return printEvent(os.Stdout, raw, f.JSON) })
}

// printEvent prints what Events hands out.
func printEvent(w io.Writer, raw json.RawMessage, asJSON bool) error {
	if asJSON {
		_, err := fmt.Fprintf(w, "%s\n", raw)
		return err
	}
	var e struct {
		engine.Decision
		admin.Skipped
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return fmt.Errorf("reading an event: %w", err)
	}
	if e.Skipped.Skipped > 0 {
		_, err := fmt.Fprintf(w, "… %d decisions are missing here: only the newest %d are kept\n", e.Skipped.Skipped, engine.KeptDecisions)
		return err
	}
	return PrintDecision(w, e.Decision, false)
}

// events shows a controller's decisions to the admin API.
func events(since func(n uint64) ([]engine.Decision, uint64, <-chan struct{})) admin.EventSource {
	return func(n uint64) ([]json.RawMessage, uint64, <-chan struct{}) {
		ds, next, more := since(n)
		lines := make([]json.RawMessage, 0, len(ds))
		for _, d := range ds {
			if b, err := json.Marshal(d); err == nil { // it always can be: text and a time
				lines = append(lines, b)
			}
		}
		return lines, next, more
	}
}
