package measure

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Log collects the output of both programs of a rig. The zero value is ready.
type Log struct {
	mu    sync.Mutex
	lines []string
}

// Logf is rig.Config.Logf.
func (l *Log) Logf(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	l.mu.Lock()
	l.lines = append(l.lines, line)
	l.mu.Unlock()
}

// Decision is one that a controller wrote to its log; see LogDecisions.
type Decision struct {
	End    string    // "client" or "concentrator"
	When   time.Time // to a millisecond
	Action string
	Path   string
	Text   string // all but time and level
}

// Decisions returns those from a time on.
func (l *Log) Decisions(from time.Time) []Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ds []Decision
	for _, line := range l.lines {
		if d, ok := parseDecision(line); ok && !d.When.Before(from.Truncate(time.Millisecond)) {
			ds = append(ds, d)
		}
	}
	return ds
}

// parseDecision reads "HOST/PROGRAM: time=… level=DEBUG msg=decision action=… path=… …".
func parseDecision(line string) (d Decision, ok bool) {
	head, text, ok := strings.Cut(line, " msg=decision ")
	if !ok {
		return d, false
	}
	d.End, _, _ = strings.Cut(head, "/")
	d.Text = text
	d.Action, d.Path = attribute(text, "action="), attribute(text, "path=")
	var err error
	d.When, err = time.Parse(time.RFC3339Nano, attribute(head, "time="))
	return d, err == nil
}

// attribute finds a value of log/slog's text format.
func attribute(text, key string) string {
	_, rest, _ := strings.Cut(text, key)
	if rest, quoted := strings.CutPrefix(rest, `"`); quoted {
		value, _, _ := strings.Cut(rest, `"`)
		return value
	}
	value, _, _ := strings.Cut(rest, " ")
	return value
}

// LogDecisions is an Edit of a file that init or join wrote, so that a Log sees
// what the program decides.
func LogDecisions(toml string) string {
	return strings.Replace(toml, "\n[log]\n", "\n[log]\nlevel = \"debug\"\n", 1)
}
