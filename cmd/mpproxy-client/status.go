package main

import (
	"os"

	"mpproxy/internal/admin"
	"mpproxy/internal/report"
	"mpproxy/internal/status"
)

type statusCmd struct {
	configFile
	report.StatusFlags
	Socket string `placeholder:"PATH" help:"Admin socket of the client (default: the configuration's)."`
}

func (c statusCmd) Run() error {
	t, err := c.target(c.Socket)
	if err != nil {
		return err
	}
	return c.Show(t)
}

// target returns the running client: that of the named socket, else of the
// configuration's.
func (c configFile) target(socket string) (admin.Target, error) {
	if socket == "" {
		conf, err := c.load()
		if err != nil {
			return admin.Target{}, err
		}
		socket = conf.Admin.SocketPath(os.Getuid(), os.Getenv)
	}
	return admin.Target{Program: status.Client, Socket: socket}, nil
}
