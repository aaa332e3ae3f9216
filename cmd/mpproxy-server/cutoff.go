package main

import (
	"context"
	"errors"
	"log/slog"

	"mpproxy/accounts"
	"mpproxy/proxy/serve"
)

// cutOff ends the connections of users whose account is gone or disabled.
type cutOff struct {
	store accounts.Store
	table *serve.Table
	log   *slog.Logger
	ready chan struct{}
}

func newCutOff(store accounts.Store, table *serve.Table, log *slog.Logger) *cutOff {
	return &cutOff{store: store, table: table, log: log, ready: make(chan struct{})}
}

// Ready is closed once no change is missed.
func (c *cutOff) Ready() <-chan struct{} { return c.ready }

// String names the task.
func (c *cutOff) String() string { return "cutting off users who are gone" }

// Run follows the store's changes until ctx is done.
func (c *cutOff) Run(ctx context.Context) error {
	c.store.Changes(ctx, func(change accounts.Change) {
		ended := c.table.StopWhere(func(conn *serve.Connection) bool { return c.gone(ctx, conn.User) })
		c.log.Info(change.What, "users", change.Accounts, "connections_ended", ended)
	})
	close(c.ready)
	<-ctx.Done()
	return nil
}

// gone reports whether a user may not use the concentrator any more. A store that cannot
// tell ends no connection.
func (c *cutOff) gone(ctx context.Context, user string) bool {
	account, err := c.store.Account(ctx, user)
	return errors.Is(err, accounts.ErrUnknown) || err == nil && account.Disabled
}
