package file

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mpproxy/accounts"
	"mpproxy/config/userfile"
)

// save writes users whose token is the name with "-token".
func save(t *testing.T, path string, names ...string) {
	t.Helper()
	var us userfile.Set
	for i, n := range names {
		var err error
		us, err = us.Add(userfile.User{
			Name: n, Serial: i + 1, Created: time.Unix(1_700_000_000, 0).UTC(),
			Hash: sha256.Sum256([]byte(n + "-token")), MaxConnections: i,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := userfile.Save(t.Context(), path, us); err != nil {
		t.Fatal(err)
	}
}

// open opens a file with these users and runs the store until the test is over.
func open(t *testing.T, names ...string) (s *Store, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "users.toml")
	save(t, path, names...)
	s, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, path
}

// follow hands on the changes of a store.
func follow(t *testing.T, s *Store) <-chan accounts.Change {
	t.Helper()
	changes := make(chan accounts.Change, 10)
	s.Changes(t.Context(), func(c accounts.Change) { changes <- c })
	return changes
}

func TestStore(t *testing.T) {
	s, _ := open(t, "alice", "bob")
	ctx := t.Context()
	if a, err := s.Verify(ctx, "alice", "alice-token"); err != nil || a.Name != "alice" || a.Created.IsZero() || a.Disabled {
		t.Errorf("%+v, %v", a, err)
	}
	for name, token := range map[string]string{"alice": "bob-token", "carol": "carol-token", "": ""} {
		if a, err := s.Verify(ctx, name, token); !errors.Is(err, accounts.ErrRefused) || a != (accounts.Account{}) {
			t.Errorf("%q: %+v, %v", name, a, err)
		}
	}
	if a, err := s.Account(ctx, "bob"); err != nil || a.Name != "bob" {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := s.Account(ctx, "carol"); !errors.Is(err, accounts.ErrUnknown) {
		t.Error(err)
	}
	for name, want := range map[string]int{"alice": 0, "bob": 1} {
		if l, err := s.Limits(ctx, name); err != nil || l.Connections != want {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
	if _, err := s.Limits(ctx, "carol"); !errors.Is(err, accounts.ErrUnknown) {
		t.Error(err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestChanges: a changed file is read by itself and when that is asked for. One with
// mistakes changes nothing.
func TestChanges(t *testing.T) {
	s, path := open(t, "alice")
	changes := follow(t, s)
	save(t, path, "bob", "carol")
	if c := <-changes; c.Accounts != 2 || c.What == "" {
		t.Errorf("%+v", c)
	}
	for name, want := range map[string]error{"alice": accounts.ErrRefused, "bob": nil} {
		if _, err := s.Verify(t.Context(), name, name+"-token"); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	save(t, path, "carol")
	s.Reload()
	if c := <-changes; c.Accounts != 1 {
		t.Errorf("%+v", c)
	}
}

// TestReadWhileInUse is for the race detector: no user who is in both files may be
// refused in between.
func TestReadWhileInUse(t *testing.T) {
	s, path := open(t, "alice")
	changes := follow(t, s)
	for _, names := range [][]string{{"bob", "alice"}, {"alice"}} {
		save(t, path, names...)
		s.Reload()
		for read := false; !read; {
			select {
			case <-changes:
				read = true
			default:
			}
			if _, err := s.Verify(t.Context(), "alice", "alice-token"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestHalfAFile: a file that is empty, or ends before its last line, ends nobody's access:
// an editor or a full disk has left it so. What is whole is used again.
func TestHalfAFile(t *testing.T) {
	whole := func(t *testing.T, path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for name, tt := range map[string]struct{ before, now func(whole string) string }{
		"empty":                      {same, func(string) string { return "" }},
		"blank":                      {same, func(string) string { return "\n\n" }},
		"cut behind a user":          {same, func(s string) string { return s[:strings.LastIndex(s, "[[user]]")] }},
		"cut before the last line":   {same, func(s string) string { return s[:strings.LastIndex(s, "#")] }},
		"of an older version, empty": {withoutEnd, func(string) string { return "" }},
	} {
		t.Run(name, func(t *testing.T) {
			s, path := open(t, "alice", "bob")
			text := whole(t, path)
			if err := os.WriteFile(path, []byte(tt.before(text)), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			changes := follow(t, s)
			if err := os.WriteFile(path, []byte(tt.now(text)), 0o600); err != nil {
				t.Fatal(err)
			}
			s.read()
			for _, user := range []string{"alice", "bob"} {
				if _, err := s.Verify(t.Context(), user, user+"-token"); err != nil {
					t.Errorf("%s: %v", user, err)
				}
			}
			if len(changes) > 0 {
				t.Error("a change was told")
			}
			save(t, path, "bob")
			s.read()
			if c := <-changes; c.Accounts != 1 {
				t.Errorf("%+v", c)
			}
			save(t, path)
			s.read()
			if c := <-changes; c.Accounts != 0 {
				t.Errorf("the last user was removed: %+v", c)
			}
		})
	}
}

func same(s string) string { return s }

func withoutEnd(s string) string { return s[:strings.LastIndex(s, "#")] }
