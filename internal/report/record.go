package report

import (
	"log/slog"

	"mpproxy/config"
	"mpproxy/config/tomlfile"
	"mpproxy/internal/buildinfo"
	"mpproxy/pathctl/trace"
)

// TraceFlags are the flags of `run` that record a trace.
type TraceFlags struct {
	Trace      string `placeholder:"FILE" help:"Record what the controller sees and decides, for replay."`
	TraceLimit string `placeholder:"SIZE" help:"Size of the trace, 64KiB or more: the newest half in FILE, what came before in FILE.1 (default 64MiB)."`
}

// Recorder begins the trace, or returns nil when none is wanted. It warns when
// there will be nothing to record, because the kernel decides.
func (f TraceFlags) Recorder(program string, pm config.PathManager, log *slog.Logger) (*trace.Recorder, error) {
	if f.Trace == "" {
		return nil, nil
	}
	if pm != config.PathManagerUserSpace {
		log.Warn("the trace will stay empty: the kernel decides about subflows; set path_manager = \"userspace\"")
	}
	cfg := trace.Config{Path: f.Trace, Program: buildinfo.String(program)}
	if f.TraceLimit != "" {
		size, err := tomlfile.ParseSize(f.TraceLimit)
		if err == nil && int64(size) < trace.MinLimit {
			err = &tomlfile.Error{Key: "--trace-limit", Message: "use 64KiB or more"}
		} else if err != nil {
			err = &tomlfile.Error{Key: "--trace-limit", Message: err.Error()}
		}
		if err != nil {
			return nil, err
		}
		cfg.Limit = int64(size)
	}
	return trace.Create(cfg, log)
}
