package tomlfile

import (
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake in a configuration: where it stands, which key it is
// about, and a message with the value, the legal range and what to do.
type Error struct {
	File    string // as given to the loader; empty for values that came from flags
	Line    int    // 1 is the first line; 0 when there is no line to point at
	Key     string // dotted, as in "limits.idle_timeout"; empty for syntax errors
	Message string
}

// Error formats as "FILE:LINE: KEY: MESSAGE", leaving out what is unknown.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key)
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Errors are all mistakes of one configuration, in the order of their lines.
// errors.As finds the first *Error in it.
type Errors []*Error

// Error has one line for each mistake.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.Is and errors.As each mistake.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// maxErrors bounds what is listed: a damaged users file has a mistake a line.
const maxErrors = 100

// OrNil returns nil for an empty list, as a true nil interface.
func (es Errors) OrNil() error {
	if len(es) == 0 {
		return nil
	}
	slices.SortStableFunc(es, func(a, b *Error) int { return a.Line - b.Line })
	if more := len(es) - maxErrors; more > 0 {
		last := &Error{File: es[0].File, Message: fmt.Sprintf("and %d more mistakes", more)}
		es = append(es[:maxErrors:maxErrors], last)
	}
	return es
}

// Mark says where a value stands in its file.
type Mark struct {
	Key  string // dotted, without array indices: what a user would search for
	Line int
}

// Report collects the mistakes of one file.
type Report struct {
	file     string
	Mistakes Errors
}

func (r *Report) At(m Mark, format string, args ...any) {
	r.Mistakes = append(r.Mistakes, &Error{File: r.file, Line: m.Line, Key: m.Key, Message: fmt.Sprintf(format, args...)})
}
