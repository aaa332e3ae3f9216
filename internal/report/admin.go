package report

import (
	"context"
	"log/slog"
	"net/netip"

	"mpproxy/internal/admin"
	"mpproxy/internal/collect"
	"mpproxy/internal/daemon"
	"mpproxy/internal/metrics"
	"mpproxy/internal/status"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/policy"
)

// Source is a running program that can be looked at.
type Source interface {
	Status(context.Context) (status.Status, error)
	Metrics(context.Context) (metrics.Snapshot, error)
	Health(context.Context) error // nil when it does what it is for
}

// AdminConfig says how a program lets itself be looked at.
type AdminConfig struct {
	Program   string
	Socket    string         // of the admin API
	HTTP      netip.AddrPort // zero: none
	Modes     []policy.Spec  // those that are configured
	Source    Source
	Decisions func(n uint64) ([]engine.Decision, uint64, <-chan struct{})
	Log       *slog.Logger
}

// AdminTasks returns the tasks that serve the admin API and, when that is
// configured, HTTP.
func AdminTasks(cfg AdminConfig) ([]daemon.Task, error) {
	tasks := []daemon.Task{admin.NewServer(admin.Config{
		Program: cfg.Program, Socket: cfg.Socket, Status: cfg.Source.Status, Events: events(cfg.Decisions), Log: cfg.Log,
	})}
	if !cfg.HTTP.IsValid() {
		return tasks, nil
	}
	registry, err := metrics.New(collect.Bounds(cfg.Modes), cfg.Source.Metrics)
	if err != nil {
		return nil, err
	}
	return append(tasks, admin.NewHTTP(admin.HTTPConfig{
		Listen: cfg.HTTP, Metrics: metrics.Handler(registry, cfg.Log),
		Status: cfg.Source.Status, Health: cfg.Source.Health, Log: cfg.Log,
	})), nil
}
