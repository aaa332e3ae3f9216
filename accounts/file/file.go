// Package file keeps accounts in a users file (see config.Users), which it reads again
// when the file has changed:
//
//	store, err := file.Open("/etc/mpproxy/users.toml", log)
//	go store.Run(ctx)
//
// Add, remove and link are commands of mpproxy-server and change the file itself.
package file

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mpproxy/accounts"
	"mpproxy/config/userfile"
)

// watchInterval is how often the file is looked at. Looking is one system call, and
// works where files are replaced or mounted anew.
const watchInterval = time.Second

// Store is an accounts.Store, and a daemon.Task. Create it with Open.
type Store struct {
	path   string
	log    *slog.Logger
	users  atomic.Pointer[userfile.Set]
	asked  chan struct{} // one element: the file is to be read again
	ready  chan struct{}
	opened stamp // of the file that Open read

	mu        sync.Mutex
	followers []follower
}

// follower is who called Changes. One whose context has ended is forgotten with the next
// change.
type follower struct {
	ctx     context.Context
	changed func(accounts.Change)
}

var _ accounts.Store = (*Store)(nil)

// Open reads the users file. A nil log logs nothing. Errors are those of
// userfile.Load.
func Open(path string, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		path: path, log: log, asked: make(chan struct{}, 1), ready: make(chan struct{}),
		opened: stampOf(path), // before the file: a change in between is not missed
	}
	users, err := userfile.Load(path)
	if err != nil {
		return nil, err
	}
	s.users.Store(&users)
	close(s.ready)
	return s, nil
}

// Warnings returns findings about the file.
func (s *Store) Warnings() []string { return s.users.Load().Warnings() }

// Len returns the number of accounts.
func (s *Store) Len() int { return s.users.Load().Len() }

// Verify implements accounts.Store.
func (s *Store) Verify(_ context.Context, name, token string) (accounts.Account, error) {
	u, own := s.users.Load().Owner(name, token)
	switch {
	case !own:
		return accounts.Account{}, accounts.ErrRefused
	case u.Disabled:
		return accounts.Account{}, accounts.ErrDisabled
	}
	return account(u), nil
}

// Account implements accounts.Store.
func (s *Store) Account(_ context.Context, name string) (accounts.Account, error) {
	u, known := s.users.Load().Lookup(name)
	if !known {
		return accounts.Account{}, accounts.ErrUnknown
	}
	return account(u), nil
}

func account(u userfile.User) accounts.Account {
	// The hash's own hash: the account goes to places that a hash is kept from.
	grant := sha256.Sum256(u.Hash[:])
	return accounts.Account{Name: u.Name, Created: u.Created, Disabled: u.Disabled, Grant: hex.EncodeToString(grant[:8])}
}

// Limits implements accounts.Store.
func (s *Store) Limits(_ context.Context, name string) (accounts.Limits, error) {
	u, known := s.users.Load().Lookup(name)
	if !known {
		return accounts.Limits{}, accounts.ErrUnknown
	}
	return accounts.Limits{Connections: u.MaxConnections}, nil
}

// Changes implements accounts.Store. changed is called by Run's goroutine.
func (s *Store) Changes(ctx context.Context, changed func(accounts.Change)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followers = append(s.followers, follower{ctx, changed})
}

// Reload asks for the file to be read again; it does not wait.
func (s *Store) Reload() {
	select {
	case s.asked <- struct{}{}:
	default: // one is waiting already
	}
}

// Ready is closed from the start: the file has been read.
func (s *Store) Ready() <-chan struct{} { return s.ready }

// String names the task.
func (s *Store) String() string { return "users file" }

// Run watches the file until ctx is done.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	last := s.opened
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.asked:
			last = stampOf(s.path)
			s.read()
		case <-tick.C:
			if now := stampOf(s.path); now != last {
				last = now
				s.read()
			}
		}
	}
}

// read takes the accounts from the file. A file with mistakes changes nothing, nor one that
// an editor or a full disk has left empty or written by half: it would end the connections of
// users who are only missing in it.
func (s *Store) read() {
	users, err := userfile.Load(s.path)
	if err != nil {
		s.log.Error("the users file cannot be used: the users stay as they were", "error", err)
		return
	}
	if before := s.users.Load(); !users.Ended() && (before.Ended() || users.Len() == 0) {
		s.log.Warn("the users file is empty or was written by half, its last line is missing: the users stay as they were", "file", s.path)
		return
	}
	s.users.Store(&users)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followers = slices.DeleteFunc(s.followers, func(f follower) bool { return f.ctx.Err() != nil })
	for _, f := range s.followers {
		f.changed(accounts.Change{What: "read the users file again", Accounts: users.Len()})
	}
}

// stamp tells versions of a file apart; it is zero when there is none.
type stamp struct {
	mod, changed time.Time
	size         int64
	inode        uint64
}

func stampOf(path string) (s stamp) {
	if info, err := os.Stat(path); err == nil {
		s.mod, s.size = info.ModTime(), info.Size()
		if sys, ok := info.Sys().(*syscall.Stat_t); ok { // always, on Linux
			s.changed, s.inode = time.Unix(sys.Ctim.Unix()), sys.Ino
		}
	}
	return s
}
