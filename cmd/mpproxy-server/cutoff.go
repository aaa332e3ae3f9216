package main

import (
	"context"
	"errors"
	"log/slog"

	"mpproxy/accounts"
	"mpproxy/internal/access"
	"mpproxy/proxy"
	"mpproxy/proxy/serve"
)

// cutOff ends the connections of users whose account is gone or disabled, or has another
// token. A store that cannot tell ends no connection.
type cutOff struct {
	store accounts.Store
	still func(ctx context.Context, user, grant string) error
	table *serve.Table
	log   *slog.Logger
	ready chan struct{}
}

func newCutOff(auth access.Remote, table *serve.Table, log *slog.Logger) *cutOff {
	return &cutOff{store: auth.Store, still: auth.Still, table: table, log: log, ready: make(chan struct{})}
}

// Ready is closed once no change is missed.
func (c *cutOff) Ready() <-chan struct{} { return c.ready }

// String names the task.
func (c *cutOff) String() string { return "cutting off users who are gone" }

// Run follows the store's changes until ctx is done.
func (c *cutOff) Run(ctx context.Context) error {
	c.store.Changes(ctx, func(change accounts.Change) {
		ended := c.table.StopWhere(func(conn *serve.Connection) bool {
			return errors.Is(c.still(ctx, conn.User, conn.Grant), proxy.ErrRevoked)
		})
		c.log.Info(change.What, "users", change.Accounts, "connections_ended", ended)
	})
	close(c.ready)
	<-ctx.Done()
	return nil
}
