package report

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/trace"
)

// ErrDiffers: the present program decides otherwise than the one that recorded.
var ErrDiffers = errors.New("the decisions are not those that were recorded")

// mostDifferences bounds how many differences are told one by one.
const mostDifferences = 10

// ReplayCmd is the command `replay`.
type ReplayCmd struct {
	File string `arg:"" help:"Trace that run --trace has recorded."`
	JSON bool   `name:"json" help:"Print JSON, one decision a line, as events --json does."`
}

// Run replays the file. It fails with ErrDiffers when a decision differs.
func (c ReplayCmd) Run() error {
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := replay(f, os.Stdout, os.Stderr, c.JSON); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return nil
}

// replay prints decisions to out, and what there is to say about them to notes.
func replay(r io.Reader, out, notes io.Writer, asJSON bool) error {
	w := bufio.NewWriter(out)
	told := 0
	sum, err := trace.Replay(r, trace.Handler{
		Decision: func(d engine.Decision) error { return PrintDecision(w, d, asJSON) },
		Difference: func(d trace.Difference) {
			if told++; told <= mostDifferences {
				fmt.Fprintln(notes, d)
			}
		},
	})
	err = errors.Join(err, w.Flush())
	fmt.Fprintf(notes, "%d looks at %d connections, %d decisions\n", sum.Looks, sum.Connections, sum.Decisions)
	if sum.Gaps > 0 {
		fmt.Fprintf(notes, "before %d looks something is missing (%d entries could not be recorded in time, or the trace begins in the middle): there it went on with the memory that was recorded\n", sum.Gaps, sum.Dropped)
	}
	if sum.Differences > 0 {
		err = errors.Join(err, fmt.Errorf("%w: %d of %d looks differ", ErrDiffers, sum.Differences, sum.Looks))
	}
	return err
}
