// Package access decides who may use a listener, and what a user name asks
// for: it splits "alice+handover" into user and mode, checks both, and answers
// the data path's socks.Authenticator.
package access

import (
	"fmt"
	"slices"
	"sync/atomic"

	"mpproxy/config"
	"mpproxy/pathctl/policy"
	"mpproxy/proxy"
)

// Local authenticates applications at the client's SOCKS5 listeners. Without
// users every application is welcome, and the user name is just a mode.
type Local struct {
	Users   []config.SocksUser
	Default string        // mode of those who ask for none
	Modes   []policy.Spec // those that can be asked for
	// Names are the user names that are taken without a password where there
	// are no users: those that rules are about.
	Names []string
}

// Open reports whether an application may go on without a user name.
func (l Local) Open() bool { return len(l.Users) == 0 }

// Authenticate accepts MODE, NAME+MODE and one of Names on an open listener,
// NAME or NAME+MODE with the user's password otherwise. Errors wrap proxy.ErrAuthenticationFailed.
func (l Local) Authenticate(user, password string) (proxy.Identity, error) {
	if l.Open() {
		name, mode := config.SplitUserMode(user)
		if mode == "" && !slices.Contains(l.Names, name) {
			name, mode = "", name
		}
		return identity(name, mode, l.Default, l.Modes)
	}
	name, mode := config.SplitUserMode(user)
	given, known := config.NewSecret(password), false
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

// Remote authenticates clients at the concentrator. The users can be replaced
// while it is in use.
type Remote struct {
	fallback string
	modes    []policy.Spec
	users    atomic.Pointer[config.Users]
}

// NewRemote returns a Remote that knows users; fallback is the mode of those
// who ask for none, and modes are those that can be asked for.
func NewRemote(users config.Users, fallback string, modes []policy.Spec) *Remote {
	r := &Remote{fallback: fallback, modes: modes}
	r.Replace(users)
	return r
}

// Replace makes users the ones that are known from now on.
func (r *Remote) Replace(users config.Users) { r.users.Store(&users) }

// Users returns the users that are known now.
func (r *Remote) Users() config.Users { return *r.users.Load() }

// Open is false: nobody passes without a token.
func (r *Remote) Open() bool { return false }

// Authenticate accepts NAME or NAME+MODE with the user's token. Errors wrap
// proxy.ErrAuthenticationFailed.
func (r *Remote) Authenticate(user, token string) (proxy.Identity, error) {
	name, mode := config.SplitUserMode(user)
	if !r.users.Load().Verify(name, token) {
		return proxy.Identity{}, fmt.Errorf("%w: unknown user %q or wrong token", proxy.ErrAuthenticationFailed, name)
	}
	return identity(name, mode, r.fallback, r.modes)
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
