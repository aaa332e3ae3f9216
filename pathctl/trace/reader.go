package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/policy"
)

// maxLine bounds a line: a look at a connection with all subflows and paths that
// the kernel allows has about 10 KB.
const maxLine = 1 << 20

// maxModes bounds how many modes a trace may define.
const maxModes = 1000

// ErrCorrupt is what every complaint about a trace's text Is.
var ErrCorrupt = errors.New("not a readable trace")

// LineError is what is wrong with a line of a trace. It Is ErrCorrupt.
type LineError struct {
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d of the trace: %v", e.Line, e.Err) }

// Unwrap returns the reason.
func (e *LineError) Unwrap() error { return e.Err }

// Is reports whether target is ErrCorrupt.
func (e *LineError) Is(target error) bool { return target == ErrCorrupt }

var (
	errCutOff = errors.New("the line is cut off: the program that wrote it was killed, or is still writing; what comes before is complete")
	errTooBig = fmt.Errorf("the line is longer than %d bytes", maxLine)
	errEmpty  = errors.New("the trace is empty")
)

// Entry is one thing that was recorded: exactly one field is set.
type Entry struct {
	Line    int
	Look    *engine.Look
	Told    *engine.Decision
	Dropped uint64 // so many entries are missing here
}

// Reader reads a trace.
type Reader struct {
	in    *bufio.Reader
	line  int
	modes map[string]policy.Params
}

// NewReader returns a Reader.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, 64<<10), modes: make(map[string]policy.Params)}
}

// Next returns the next entry, or io.EOF after the last. Other errors are those
// of reading, or a *LineError.
func (r *Reader) Next() (Entry, error) {
	for {
		text, err := r.text()
		if err != nil {
			return Entry{}, err
		}
		l, err := decode(text)
		if err != nil {
			return Entry{}, r.wrong(err)
		}
		e, ok, err := r.entry(l)
		if err != nil {
			return Entry{}, r.wrong(err)
		}
		if ok {
			return e, nil
		}
	}
}

func (r *Reader) wrong(err error) error { return &LineError{r.line, err} }

// text returns the next line.
func (r *Reader) text() ([]byte, error) {
	var text []byte
	for {
		part, err := r.in.ReadSlice('\n')
		if len(text) == 0 {
			r.line++
		}
		text = append(text, part...)
		switch {
		case len(text) > maxLine:
			return nil, r.wrong(errTooBig)
		case err == nil:
			return text, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(text) > 0:
			return nil, r.wrong(errCutOff)
		case errors.Is(err, io.EOF) && r.line == 1:
			return nil, r.wrong(errEmpty)
		default:
			return nil, err
		}
	}
}

// entry takes a line into account; ok is false for those that only say how to
// read others.
func (r *Reader) entry(l line) (e Entry, ok bool, err error) {
	if (r.line == 1) != (l.Trace != nil) {
		return e, false, errors.New("expected the line {\"trace\":…} first, and nowhere else")
	}
	e.Line = r.line
	switch {
	case l.Trace != nil:
		if l.Trace.Format != format {
			return e, false, fmt.Errorf("format %d is not known: this program reads format %d; use the one that wrote it (%s)", l.Trace.Format, format, l.Trace.Program)
		}
		return e, false, nil
	case l.Mode != nil:
		return e, false, r.define(*l.Mode)
	case l.Look != nil:
		params, known := r.modes[l.Look.Mode]
		if !known {
			return e, false, fmt.Errorf("mode %q was not defined before", l.Look.Mode)
		}
		if l.Look.Number == 0 {
			return e, false, errors.New("looks are numbered from 1")
		}
		if l.Look.Memory, err = l.Look.Memory.Of(l.Look.Conn.Mode); err != nil {
			return e, false, err
		}
		look := l.Look.value(params)
		e.Look = &look
	case l.Told != nil:
		e.Told = l.Told
	case l.Dropped != nil:
		e.Dropped = *l.Dropped
	}
	return e, true, nil
}

func (r *Reader) define(s policy.Spec) error {
	if err := s.Params.Validate(s.Base); err != nil {
		return fmt.Errorf("mode %q: %w", s.Name, err)
	}
	if len(r.modes) >= maxModes {
		return fmt.Errorf("there are more than %d modes", maxModes)
	}
	r.modes[s.Name] = s.Params
	return nil
}
