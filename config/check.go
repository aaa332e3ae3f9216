package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// span is the legal range of a duration.
type span struct {
	min, max time.Duration
	offAt0   bool // "0" switches the timeout off
}

func (s span) String() string {
	text := fmt.Sprintf("%s to %s", formatDuration(s.min), formatDuration(s.max))
	if s.offAt0 {
		text += `, or "0" for none`
	}
	return text
}

// check turns fields into values and reports what is out of range. Each method
// returns the default when the key is absent or wrong.
type check struct {
	*report
	dir string // of the file: relative paths start here
}

func (c check) duration(f field[string], otherwise time.Duration, legal span) time.Duration {
	if !f.isSet {
		return otherwise
	}
	d, err := time.ParseDuration(f.value)
	switch {
	case err != nil:
		c.at(f.mark, "%q is not a duration: write a number and a unit (ms, s, m, h), such as \"500ms\" or \"1m30s\"; allowed is %s", f.value, legal)
	case d == 0 && legal.offAt0:
		return 0
	case d < legal.min || d > legal.max:
		c.at(f.mark, "%q is out of range: allowed is %s", f.value, legal)
	default:
		return d
	}
	return otherwise
}

func (c check) number(f field[int64], otherwise, least, most int) int {
	if !f.isSet {
		return otherwise
	}
	if f.value < int64(least) || f.value > int64(most) {
		c.at(f.mark, "%d is out of range: allowed is %d to %d", f.value, least, most)
		return otherwise
	}
	return int(f.value)
}

func (c check) size(f field[string], otherwise, least, most Size) Size {
	if !f.isSet {
		return otherwise
	}
	n, err := ParseSize(f.value)
	switch {
	case err != nil:
		c.at(f.mark, "%v; allowed is %v to %v, or \"0\" for the kernel's own choice", err, least, most)
	case n != 0 && (n < least || n > most):
		c.at(f.mark, "%q is out of range: allowed is %v to %v, or \"0\" for the kernel's own choice", f.value, least, most)
	default:
		return n
	}
	return otherwise
}

// oneOf accepts the listed words only.
func oneOf[T ~string](c check, f field[string], otherwise T, allowed ...T) T {
	if !f.isSet || slices.Contains(allowed, T(f.value)) {
		return T(f.or(string(otherwise)))
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	c.at(f.mark, "%q is not allowed here: use %s%s", f.value, quotedList(words), didYouMean(f.value, words))
	return otherwise
}

// quotedList writes "a", "b" or "c".
func quotedList(words []string) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i > 0 && i == len(words)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", w)
	}
	return b.String()
}

// PathManager says who creates subflows.
type PathManager string

// The path managers. With "userspace" mpproxy decides about the subflows of each
// connection by its mode, and takes the path manager of the network namespace
// over for that; where it may not, it goes on as with "kernel", whose own one is
// given endpoints and limits.
const (
	PathManagerKernel    PathManager = "kernel"
	PathManagerUserSpace PathManager = "userspace"
)

func (c check) pathManager(f field[string]) PathManager {
	return oneOf(c, f, PathManagerUserSpace, PathManagerUserSpace, PathManagerKernel)
}

// Log says how much is logged to standard error, and how.
type Log struct {
	Level  slog.Level // debug, info, warn or error
	Format LogFormat
}

// LogFormat is how a log line looks.
type LogFormat string

// The log formats.
const (
	LogText LogFormat = "text" // key=value
	LogJSON LogFormat = "json" // one object a line
)

type rawLog struct {
	Level  field[string] `toml:"level"`
	Format field[string] `toml:"format"`
}

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

func (c check) log(raw rawLog, d Log) Log {
	level := oneOf(c, raw.Level, levelName(d.Level), "debug", "info", "warn", "error")
	return Log{Level: logLevels[level], Format: oneOf(c, raw.Format, d.Format, LogText, LogJSON)}
}

func levelName(l slog.Level) string { return strings.ToLower(l.String()) }

// listen reads a list of listeners, which must have at least one and none twice.
func (c check) listen(f field[[]element], otherwise []netip.AddrPort) []netip.AddrPort {
	if !f.isSet {
		return slices.Clone(otherwise)
	}
	if len(f.value) == 0 {
		c.at(f.mark, "the list is empty: give at least one address, such as %q", otherwise[0].String())
	}
	var out []netip.AddrPort
	for _, e := range f.value {
		ap, err := ParseListen(e.value)
		switch {
		case err != nil:
			c.at(e.mark, "%v", err)
		case slices.Contains(out, ap) && ap.Port() != 0:
			c.at(e.mark, "%q is listed twice", e.value)
		default:
			out = append(out, ap)
		}
	}
	return out
}

// path makes a file name absolute or relative to the working directory, so that
// a relative one in a file starts at that file's directory.
func (c check) path(f field[string], otherwise string) string {
	p := f.or(otherwise)
	switch {
	case f.isSet && p == "" && otherwise != "":
		c.at(f.mark, "the file name is empty: give a path; the default is %q", otherwise)
		p = otherwise
	case strings.ContainsRune(p, 0):
		c.at(f.mark, "%q is no file name: it contains a zero byte", p)
		return otherwise
	}
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.dir, p)
}

// formatDuration writes what time.ParseDuration reads, without the zero units
// of Duration.String: "2h4m", not "2h4m0s".
func formatDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-len("0s")]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-len("0m")]
	}
	return s
}
