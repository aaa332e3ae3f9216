package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"time"

	"mpproxy/internal/admin"
	"mpproxy/internal/status"
)

type statusCmd struct {
	configFile
	JSON   bool   `name:"json" help:"Print JSON."`
	All    bool   `help:"List every connection, not only the newest ones."`
	Socket string `placeholder:"PATH" help:"Admin socket of the client (default: the configuration's)."`
}

const (
	// shownConnections is how many connections are listed without --all.
	shownConnections = 20
	// rateInterval is how long the rates are measured.
	rateInterval = 500 * time.Millisecond
)

func (c statusCmd) Run() error {
	st, err := c.fetch()
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(os.Stdout, st)
	}
	most := shownConnections
	if c.All {
		most = 0
	}
	return status.Render(os.Stdout, st, status.RenderOptions{MaxConnections: most})
}

func (c statusCmd) fetch() (status.Status, error) {
	socket, err := c.socket(c.Socket)
	if err != nil {
		return status.Status{}, err
	}
	return admin.Status(context.Background(), socket, rateInterval)
}

// socket returns the admin socket: the one that was named, else the
// configuration's.
func (c configFile) socket(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	conf, err := c.load()
	if err != nil {
		return "", err
	}
	return conf.Admin.SocketPath(os.Getuid(), os.Getenv), nil
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
