// Package report holds what both programs' commands share that tell of the
// controller: how a decision is printed, recording a trace, and replaying one.
//
//	report.PrintDecision(os.Stdout, d, asJSON)
//
// It decides nothing itself.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"mpproxy/pathctl/engine"
)

// PrintDecision prints a decision on one line: for people, with the local time
// of day, or as JSON.
func PrintDecision(w io.Writer, d engine.Decision, asJSON bool) error {
	if asJSON {
		b, err := json.Marshal(d)
		if err == nil {
			_, err = fmt.Fprintf(w, "%s\n", b)
		}
		return err
	}
	about := ""
	switch {
	case d.Rule != "":
		about = fmt.Sprintf("  (%s, %s, %s)", d.Destination, d.Mode, d.Rule)
	case d.Destination != "":
		about = fmt.Sprintf("  (%s, %s)", d.Destination, d.Mode)
	}
	_, err := fmt.Fprintf(w, "%s  %s %s: %s%s\n", d.When.Local().Format(time.TimeOnly+".000"), d.Action, d.Path, d.Why, about)
	return err
}
