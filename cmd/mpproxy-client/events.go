package main

import "mpproxy/internal/report"

type eventsCmd struct {
	configFile
	report.EventsFlags
	Socket string `placeholder:"PATH" help:"Admin socket of the client (default: the configuration's)."`
}

func (c eventsCmd) Run() error {
	t, err := c.target(c.Socket)
	if err != nil {
		return err
	}
	return c.Show(t)
}
