package main

import (
	"context"
	"fmt"
	"time"
)

const (
	latenessTick = time.Millisecond
	latenessMuch = 20 * time.Millisecond
)

// lateness watches how long this program, which emulates the links, had to
// wait for a processor: on a machine that does other things, too, figures are
// those of the machine.
type lateness struct {
	worst time.Duration
	much  int // times above latenessMuch
}

func (l lateness) String() string {
	return fmt.Sprintf("this program woke up to %d ms late, %d times more than %d ms",
		l.worst.Milliseconds(), l.much, latenessMuch.Milliseconds())
}

// watchLateness looks until the context ends.
func watchLateness(ctx context.Context, seen chan<- lateness) {
	var l lateness
	for ctx.Err() == nil {
		slept := time.Now()
		time.Sleep(latenessTick)
		late := time.Since(slept) - latenessTick
		l.worst = max(l.worst, late)
		if late > latenessMuch {
			l.much++
		}
	}
	seen <- l
}
