// Package access decides who may use a listener, and what a user name asks
// for: it splits "alice+handover" into user and mode, checks both, and answers
// the data path's socks.Authenticator.
package access

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mpproxy/accounts"
	"mpproxy/config"
	"mpproxy/config/credential"
	"mpproxy/pathctl/policy"
	"mpproxy/proxy"
)

// Local authenticates applications at the client's SOCKS5 listeners. Without
// users every application is welcome, whatever name it shows.
type Local struct {
	Users   []config.SocksUser
	Default string        // mode of those who ask for none
	Modes   []policy.Spec // those that can be asked for
	// Names are the user names that rules are about. On an open listener a part of a
	// name is taken for one of them, all other names are labels without a meaning.
	Names []string
	// Misspelt is told of names on an open listener that look as if they should have
	// chosen a mode, and why they do not; may be nil.
	Misspelt func(name string, why error)
}

// Open reports whether an application may go on without a user name.
func (l Local) Open() bool { return len(l.Users) == 0 }

// Authenticate accepts any name on an open listener, NAME or NAME+MODE with the user's
// password otherwise. Errors wrap proxy.ErrAuthenticationFailed.
func (l Local) Authenticate(_ context.Context, user, password string) (proxy.Identity, error) {
	if l.Open() {
		return l.label(user), nil
	}
	name, mode := credential.SplitUserMode(user)
	given, known := credential.NewSecret(password), false
	for _, u := range l.Users {
		if u.Password.Equal(given) && u.Name == name {
			known = true
		}
	}
	if !known {
		return proxy.Identity{}, fmt.Errorf("%w: unknown local user %q or wrong password", proxy.ErrAuthenticationFailed, name)
	}
	return identity(name, mode, l.Default, l.Modes)
}

// label reads a name that nobody has to prove: MODE, NAME+MODE, one of Names, or
// anything else. Programs that were not asked to choose show names, too: Java shows the
// login name, and Tor and Bitcoin Core a random one for each connection, which may hold
// any byte.
func (l Local) label(shown string) proxy.Identity {
	name, mode := credential.SplitUserMode(shown)
	if mode == "" && !slices.Contains(l.Names, name) {
		name, mode = "", name
	}
	id, err := identity(name, mode, l.Default, l.Modes)
	if err == nil {
		return id
	}
	if l.Misspelt != nil && (name != "" || config.NearestMode(l.Modes, mode) != "") {
		l.Misspelt(shown, err)
	}
	if !slices.Contains(l.Names, name) {
		name = shown
	}
	return proxy.Identity{User: name, Mode: l.Default}
}

// Remote authenticates clients at the concentrator.
type Remote struct {
	Store   accounts.Store
	Default string        // mode of those who ask for none
	Modes   []policy.Spec // those that can be asked for
}

// Open is false: nobody passes without a token.
func (Remote) Open() bool { return false }

// Authenticate accepts NAME or NAME+MODE with the user's token. Errors wrap
// proxy.ErrAuthenticationFailed, or proxy.ErrUnverified if the store cannot tell.
func (r Remote) Authenticate(ctx context.Context, user, token string) (proxy.Identity, error) {
	name, mode := credential.SplitUserMode(user)
	account, err := r.Store.Verify(ctx, name, token)
	switch {
	case errors.Is(err, accounts.ErrDisabled):
		return proxy.Identity{}, fmt.Errorf("%w: user %q", proxy.ErrUserDisabled, name)
	case errors.Is(err, accounts.ErrRefused):
		return proxy.Identity{}, fmt.Errorf("%w: unknown user %q or wrong token", proxy.ErrAuthenticationFailed, name)
	case err != nil:
		return proxy.Identity{}, fmt.Errorf("%w: %w", proxy.ErrUnverified, err)
	}
	id, err := identity(name, mode, r.Default, r.Modes)
	if err == nil {
		id.Grant = account.Grant
	}
	return id, err
}

// Still asks whether who has authenticated as user, with the token behind grant, might do so again. The
// error wraps proxy.ErrRevoked if not, or proxy.ErrUnverified if the store cannot tell.
func (r Remote) Still(ctx context.Context, user, grant string) error {
	account, err := r.Store.Account(ctx, user)
	switch {
	case errors.Is(err, accounts.ErrUnknown), err == nil && (account.Disabled || account.Grant != grant):
		return fmt.Errorf("user %q: %w", user, proxy.ErrRevoked)
	case err != nil:
		return fmt.Errorf("%w: %w", proxy.ErrUnverified, err)
	}
	return nil
}

func identity(user, mode, fallback string, modes []policy.Spec) (proxy.Identity, error) {
	if mode == "" {
		return proxy.Identity{User: user, Mode: fallback}, nil
	}
	m, err := config.ModeNamed(modes, mode)
	if err != nil {
		return proxy.Identity{}, fmt.Errorf("%w: user %q: %w", proxy.ErrAuthenticationFailed, user, err)
	}
	return proxy.Identity{User: user, Mode: m.Name, Asked: true}, nil
}
