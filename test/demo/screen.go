//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// plainInterval is how often a line is printed where nothing can be redrawn:
// every second, but for the frames' own unsteadiness.
const plainInterval = time.Second - frameInterval/2

// minColumns is the narrowest terminal in which the picture fits without
// wrapping, which redrawing would not survive.
const minColumns = besides + 12

// screen draws frames, one over the other on a terminal, else as lines now and
// then. One goroutine uses it.
type screen struct {
	out     *os.File
	drawn   int // lines of the frame on the terminal
	printed time.Time
}

// columns is the width of the terminal, 0 when there is none to draw on.
func (s *screen) columns() int {
	if os.Getenv("TERM") == "dumb" {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(s.out.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col < minColumns {
		return 0
	}
	return int(size.Col)
}

// draw shows a frame in place of the one before.
func (s *screen) draw(f frame) {
	columns := s.columns()
	if columns == 0 {
		if time.Since(s.printed) >= plainInterval {
			s.printed = time.Now()
			fmt.Fprintln(s.out, f.line())
		}
		return
	}
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.drawn) // up
	}
	lines := f.lines(columns)
	for _, l := range lines {
		fmt.Fprintf(&b, "\r%s\x1b[K\n", l) // clear what an earlier line has left
	}
	s.drawn = len(lines)
	_, _ = io.WriteString(s.out, b.String()) // a reader that left ends the program by SIGPIPE
}

// finish leaves the last frame, which has the averages, where it is.
func (s *screen) finish(f frame) {
	if s.columns() == 0 {
		fmt.Fprintln(s.out, f.line())
	} else {
		s.draw(f)
	}
	s.drawn, s.printed = 0, time.Time{}
}
