package config

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"mpproxy/config/joinlink"
	"mpproxy/config/tomlfile"
)

// maxConfigFile is how many bytes a configuration may have.
const maxConfigFile = 256 << 10

// check turns the fields of a client's or a server's file into values.
type check struct {
	tomlfile.Checker
	dir string // of the file: relative paths start here
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

func (c check) pathManager(f tomlfile.Field[string]) PathManager {
	return tomlfile.OneOf(c.Checker, f, PathManagerUserSpace, PathManagerUserSpace, PathManagerKernel)
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
	Level  tomlfile.Field[string] `toml:"level"`
	Format tomlfile.Field[string] `toml:"format"`
}

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

func (c check) log(raw rawLog, d Log) Log {
	level := tomlfile.OneOf(c.Checker, raw.Level, levelName(d.Level), "debug", "info", "warn", "error")
	return Log{Level: logLevels[level], Format: tomlfile.OneOf(c.Checker, raw.Format, d.Format, LogText, LogJSON)}
}

func levelName(l slog.Level) string { return strings.ToLower(l.String()) }

// listen reads a list of listeners, which must have at least one and none twice.
func (c check) listen(f tomlfile.Field[[]tomlfile.Element], otherwise []netip.AddrPort) []netip.AddrPort {
	if !f.IsSet {
		return slices.Clone(otherwise)
	}
	if len(f.Value) == 0 {
		c.At(f.Mark, "the list is empty: give at least one address, such as %q", otherwise[0].String())
	}
	var out []netip.AddrPort
	for _, e := range f.Value {
		ap, err := joinlink.ParseListen(e.Value)
		switch {
		case err != nil:
			c.At(e.Mark, "%v", err)
		case slices.Contains(out, ap) && ap.Port() != 0:
			c.At(e.Mark, "%q is listed twice", e.Value)
		default:
			out = append(out, ap)
		}
	}
	return out
}

// path makes a file name absolute or relative to the working directory, so that
// a relative one in a file starts at that file's directory.
func (c check) path(f tomlfile.Field[string], otherwise string) string {
	p := f.Or(otherwise)
	switch {
	case f.IsSet && p == "" && otherwise != "":
		c.At(f.Mark, "the file name is empty: give a path; the default is %q", otherwise)
		p = otherwise
	case strings.ContainsRune(p, 0):
		c.At(f.Mark, "%q is no file name: it contains a zero byte", p)
		return otherwise
	}
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.dir, p)
}
