package main

import (
	"os"

	"mpproxy/config"
	"mpproxy/internal/admin"
	"mpproxy/internal/report"
	"mpproxy/internal/status"
)

// running finds the server that runs.
type running struct {
	Config string `short:"c" placeholder:"FILE" help:"Configuration file of the server (for its admin socket, if it names one)."`
	Socket string `placeholder:"PATH" help:"Admin socket of the server (default: the configuration's)."`
}

func (r running) target() (admin.Target, error) {
	socket := r.Socket
	if socket == "" {
		conf := config.DefaultServer()
		if r.Config != "" {
			var err error
			if conf, err = config.LoadServer(r.Config); err != nil {
				return admin.Target{}, err
			}
		}
		socket = conf.Admin.SocketPath(os.Getuid(), os.Getenv)
	}
	return admin.Target{Program: status.Concentrator, Socket: socket}, nil
}

type statusCmd struct {
	running
	report.StatusFlags
}

func (c statusCmd) Run() error {
	t, err := c.target()
	if err != nil {
		return err
	}
	return c.Show(t)
}

type eventsCmd struct {
	running
	report.EventsFlags
}

func (c eventsCmd) Run() error {
	t, err := c.target()
	if err != nil {
		return err
	}
	return c.Show(t)
}
