package measure

import (
	"context"
	"fmt"
	"time"
)

const (
	latenessTick = time.Millisecond
	latenessMuch = 20 * time.Millisecond
	// latenessHeld is from when on a wait holds up what is timed meanwhile.
	latenessHeld = 4 * time.Millisecond
	mostHeld     = 100_000
)

// Lateness is how long this program, which emulates the links, had to wait for
// a processor: on a machine that does other things, too, figures are those of
// the machine.
type Lateness struct {
	Worst time.Duration
	At    time.Duration // of the worst, since the watch began
	Much  int           // times above 20 ms
	Held  []Wait        // those of 4 ms and more, the first 100,000
}

// Wait is a time for which this program had no processor.
type Wait struct{ From, To time.Time }

func (l Lateness) String() string {
	return fmt.Sprintf("this program woke up to %d ms late, at %.1f s, %d times more than %d ms",
		l.Worst.Milliseconds(), l.At.Seconds(), l.Much, latenessMuch.Milliseconds())
}

// WatchLateness watches until the function that it returns, to be called once,
// ends it.
func WatchLateness() (stop func() Lateness) {
	ctx, cancel := context.WithCancel(context.Background())
	seen := make(chan Lateness, 1)
	go watchLateness(ctx, seen)
	return func() Lateness {
		cancel()
		return <-seen
	}
}

func watchLateness(ctx context.Context, seen chan<- Lateness) {
	var l Lateness
	begun := time.Now()
	for ctx.Err() == nil {
		slept := time.Now()
		time.Sleep(latenessTick)
		late := time.Since(slept) - latenessTick
		if late > l.Worst {
			l.Worst, l.At = late, slept.Sub(begun)
		}
		if late > latenessMuch {
			l.Much++
		}
		if late >= latenessHeld && len(l.Held) < mostHeld {
			l.Held = append(l.Held, Wait{slept, slept.Add(latenessTick + late)})
		}
	}
	seen <- l
}
