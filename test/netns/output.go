package netns

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
)

const (
	keepOutput = 256 << 10
	maxLine    = 16 << 10
)

// errEnded is why waiting for output failed.
var errEnded = errors.New("the process ended")

// output keeps the last keepOutput bytes that a process wrote and hands out whole
// lines.
type output struct {
	onLine func(string)

	mu      sync.Mutex
	kept    []byte
	partial []byte
	closed  bool
	changed chan struct{} // closed and replaced with each change
}

func newOutput(onLine func(string)) *output {
	return &output{onLine: onLine, changed: make(chan struct{})}
}

// Write is called by the goroutine of exec.Cmd that copies both outputs.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	o.kept = append(o.kept, b...)
	if over := len(o.kept) - keepOutput; over > keepOutput/4 {
		o.kept = append(o.kept[:0], o.kept[over:]...)
	}
	o.partial = append(o.partial, b...)
	var lines []string
	for {
		i := bytes.IndexByte(o.partial, '\n')
		if i < 0 && len(o.partial) > maxLine {
			i = maxLine
		}
		if i < 0 {
			break
		}
		lines = append(lines, string(o.partial[:i]))
		o.partial = append(o.partial[:0], o.partial[i+1:]...)
	}
	o.signal()
	o.mu.Unlock()
	for _, l := range lines {
		o.onLine(l)
	}
	return len(b), nil
}

func (o *output) signal() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// close is called once nothing more can be written.
func (o *output) close() {
	o.mu.Lock()
	rest := string(o.partial)
	o.closed = true
	o.signal()
	o.mu.Unlock()
	if rest != "" {
		o.onLine(rest)
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.kept)
}

// wait returns the first kept line that contains text, whole or not yet.
func (o *output) wait(ctx context.Context, text string) (string, error) {
	for {
		o.mu.Lock()
		line, found := findLine(string(o.kept), text)
		closed, changed := o.closed, o.changed
		o.mu.Unlock()
		switch {
		case found:
			return line, nil
		case closed:
			return "", errEnded
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func findLine(s, text string) (string, bool) {
	before, _, ok := strings.Cut(s, text)
	if !ok {
		return "", false
	}
	start := strings.LastIndexByte(before, '\n') + 1
	line, _, _ := strings.Cut(s[start:], "\n")
	return line, true
}
