package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"mpproxy/config"
	"mpproxy/internal/access"
	"mpproxy/proxy/egress"
	"mpproxy/proxy/serve"
)

// watchInterval is how often the users file is looked at. Looking is one
// system call, and works where files are replaced or mounted anew.
const watchInterval = time.Second

// userWatch reads the users file again when it has changed, and on SIGHUP.
type userWatch struct {
	path         string
	auth         *access.Remote
	concentrator *egress.Concentrator
	log          *slog.Logger
	hup          chan struct{}
	ready        chan struct{}
	read0        stamp // of the file that the first users were read from
}

func newUserWatch(path string, read stamp, auth *access.Remote, c *egress.Concentrator, log *slog.Logger) *userWatch {
	w := &userWatch{path: path, auth: auth, concentrator: c, log: log, hup: make(chan struct{}, 1), ready: make(chan struct{}), read0: read}
	close(w.ready)
	return w
}

// reload asks for the file to be read again; it does not wait.
func (w *userWatch) reload() {
	select {
	case w.hup <- struct{}{}:
	default: // one is waiting already
	}
}

// Ready is closed from the start: the users have been read.
func (w *userWatch) Ready() <-chan struct{} { return w.ready }

// String names the task.
func (w *userWatch) String() string { return "users file" }

// Run watches until ctx is done.
func (w *userWatch) Run(ctx context.Context) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	last := w.read0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.hup:
			last = stampOf(w.path)
			w.read()
		case <-tick.C:
			if now := stampOf(w.path); now != last {
				last = now
				w.read()
			}
		}
	}
}

// stamp tells versions of a file apart; it is zero when there is none.
type stamp struct {
	mod  time.Time
	size int64
}

func stampOf(path string) (s stamp) {
	if info, err := os.Stat(path); err == nil {
		s.mod, s.size = info.ModTime(), info.Size()
	}
	return s
}

// read replaces the users and ends the connections of those who are gone. A
// file with mistakes changes nothing.
func (w *userWatch) read() {
	users, err := config.LoadUsers(w.path)
	if err != nil {
		w.log.Error("the users file cannot be used: the users stay as they were", "error", err)
		return
	}
	w.auth.Replace(users)
	ended := w.concentrator.Table().StopWhere(func(c *serve.Connection) bool {
		u, known := users.Lookup(c.User)
		return !known || u.Disabled
	})
	w.log.Info("read the users file again", "users", users.Len(), "connections_ended", ended)
}
