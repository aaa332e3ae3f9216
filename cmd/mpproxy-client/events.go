package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"

	"mpproxy/internal/admin"
	"mpproxy/internal/report"
	"mpproxy/pathctl"
)

type eventsCmd struct {
	configFile
	Follow bool   `short:"f" help:"Go on showing what happens."`
	JSON   bool   `name:"json" help:"Print JSON, one object a line."`
	Socket string `placeholder:"PATH" help:"Admin socket of the client (default: the configuration's)."`
}

func (c eventsCmd) Run() error {
	socket, err := c.socket(c.Socket)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return admin.Events(ctx, socket, c.Follow, func(raw json.RawMessage) error {
		return printEvent(os.Stdout, raw, c.JSON)
	})
}

func printEvent(w io.Writer, raw json.RawMessage, asJSON bool) error {
	if asJSON {
		_, err := fmt.Fprintf(w, "%s\n", raw)
		return err
	}
	var d pathctl.Decision
	if err := json.Unmarshal(raw, &d); err != nil {
		return fmt.Errorf("reading an event: %w", err)
	}
	return report.PrintDecision(w, d, false)
}

// decisions shows the controller's decisions to the admin API.
func decisions(c *pathctl.Client) admin.EventSource {
	return func(n uint64) ([]json.RawMessage, uint64, <-chan struct{}) {
		ds, next, more := c.Decisions(n)
		lines := make([]json.RawMessage, 0, len(ds))
		for _, d := range ds {
			if b, err := json.Marshal(d); err == nil { // it always can be: text and a time
				lines = append(lines, b)
			}
		}
		return lines, next, more
	}
}
