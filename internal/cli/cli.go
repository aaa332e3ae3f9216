// Package cli is the command line that both programs share: parsing, errors
// and exit codes, the logger, and turning configured limits into the data
// path's.
//
//	cli.Main("mpproxy-client", "…", &grammar)
package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/kong"

	"mpproxy/config"
	"mpproxy/config/joinlink"
	"mpproxy/config/tomlfile"
	"mpproxy/internal/buildinfo"
	"mpproxy/pathctl/trace"
	"mpproxy/proxy/relay"
)

// Exit codes: 0 is success, Failure says that the work failed, Usage that the
// command line or a file was wrong.
const (
	Failure = 1
	Usage   = 2
)

// Main parses the command line into grammar (see kong), runs the chosen
// command and exits.
func Main(name, description string, grammar any) {
	parser, err := kong.New(grammar, kong.Name(name), kong.Description(description), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: false}),
		kong.Vars{"version": buildinfo.String(name)}, kong.Exit(os.Exit))
	if err != nil {
		panic(err) // the grammar is part of the program
	}
	ctx, err := parser.Parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\nTry '%s --help'.\n", name, err, name)
		os.Exit(Usage)
	}
	if err := ctx.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(exitCode(err))
	}
}

// exitCode tells mistakes of the user's from work that failed.
func exitCode(err error) int {
	var (
		mistakes tomlfile.Errors
		mistake  *tomlfile.Error
		link     *joinlink.Error
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &mistakes), errors.As(err, &mistake), errors.As(err, &link), errors.Is(err, trace.ErrCorrupt):
		return Usage
	}
	return Failure
}

// VersionCmd prints which build this is.
type VersionCmd struct{}

// Run prints one line.
func (VersionCmd) Run(app *kong.Kong) error {
	_, err := fmt.Println(buildinfo.String(app.Model.Name))
	return err
}

// Logger returns the program's logger.
func Logger(w io.Writer, c config.Log) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.Level}
	if c.Format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// Warn logs findings about the configuration.
func Warn(log *slog.Logger, warnings []string) {
	for _, w := range warnings {
		log.Warn(w)
	}
}

// RelayConfig translates the limits: 0 means "none" in a file, and "default"
// in package relay.
func RelayConfig(l config.Limits) relay.Config {
	return relay.Config{
		IdleTimeout:      orNone(l.IdleTimeout),
		HalfCloseTimeout: orNone(l.HalfCloseTimeout),
		MaxLifetime:      orNone(l.MaxLifetime),
	}
}

func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// ReceiveBuffer translates the size: 0 means "the kernel's choice" in a file,
// and "default" in package mptcpsock.
func ReceiveBuffer(s tomlfile.Size) int {
	if s == 0 {
		return -1
	}
	return int(s)
}

// StateDir returns where the daemons keep what must outlive a crash, though
// not a reboot: /run/mpproxy for root, else mpproxy below $XDG_RUNTIME_DIR, or
// /tmp/mpproxy-UID.
func StateDir() string {
	return filepath.Dir(config.Admin{}.SocketPath(os.Getuid(), os.Getenv))
}
