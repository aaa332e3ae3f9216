// Package accounts says what a concentrator asks about its users. Each kind of store has
// a folder of its own below this one; accounts/file is a users file.
//
//	account, err := store.Verify(ctx, "alice", token)
//	if errors.Is(err, accounts.ErrRefused) { … }
//
// It knows nothing of modes, connections or protocols.
package accounts

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Account is one user of a concentrator.
type Account struct {
	Name     string
	Created  time.Time
	Disabled bool // known, but refused
	// Grant changes whenever the account is given another token, or is removed and made
	// anew. It is no secret.
	Grant string
}

// Limits are what an account may use at a time. 0 leaves a number to the concentrator.
type Limits struct {
	Connections int
}

// Change tells that accounts may be others than before.
type Change struct {
	What     string // in words, for the log
	Accounts int    // how many there are now
}

// Errors of a Store, to be told apart with errors.Is. Any other error says that the
// store cannot tell just now.
var (
	// ErrRefused: there is no such account, or the token is another one's. Which of these it
	// is, nobody is told.
	ErrRefused = errors.New("unknown user or wrong token")
	// ErrDisabled is an ErrRefused for whoever has shown the token of a disabled account.
	ErrDisabled = fmt.Errorf("%w: the account is disabled", ErrRefused)
	// ErrUnknown: there is no account of this name.
	ErrUnknown = errors.New("there is no such account")
)

// Store knows the accounts. Implementations are safe for concurrent use. Their methods
// may wait for another host, for as long as ctx allows.
type Store interface {
	// Verify returns the account called name if token is its token, ErrDisabled or ErrRefused.
	Verify(ctx context.Context, name, token string) (Account, error)
	// Account returns the account called name, a disabled one too, or ErrUnknown.
	Account(ctx context.Context, name string) (Account, error)
	// Limits returns what the account called name may use, or ErrUnknown.
	Limits(ctx context.Context, name string) (Limits, error)
	// Changes has changed called after each change until ctx ends, and returns at once.
	// What is asked within changed is answered with the changed accounts.
	Changes(ctx context.Context, changed func(Change))
}
