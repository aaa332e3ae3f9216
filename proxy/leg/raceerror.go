package leg

import (
	"errors"
	"fmt"
	"strings"
)

// outcome is an attempt and why it failed.
type outcome struct {
	attempt
	err error
}

// chainError is the failure of an attempt whose TCP handshake has succeeded.
type chainError struct{ err error }

func (e *chainError) Error() string { return e.err.Error() }
func (e *chainError) Unwrap() error { return e.err }

// raceError lists every way that was tried. It is what was met behind a TCP handshake,
// if that has succeeded on any, and ErrUnreachable otherwise.
type raceError []outcome

func (e raceError) Error() string {
	met := e.chain()
	if met != nil && len(e) == 1 {
		return fmt.Sprintf("over %s: %v", e[0].Path, met)
	}
	tried := make([]string, len(e))
	for i, o := range e {
		tried[i] = fmt.Sprintf("%s over %s: %v", o.to, o.Path, o.err)
	}
	what := ErrUnreachable.Error()
	if met != nil {
		what = "no way leads to the concentrator"
	}
	return what + ": " + strings.Join(tried, "; ")
}

func (e raceError) Unwrap() error {
	if err := e.chain(); err != nil {
		return err
	}
	return ErrUnreachable
}

// chain is the first failure behind a TCP handshake, nil if there was none.
func (e raceError) chain() error {
	for _, o := range e {
		if c, ok := errors.AsType[*chainError](o.err); ok {
			return c
		}
	}
	return nil
}
