package userfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mpproxy/config/configtest"
	"mpproxy/config/credential"
)

var testTime = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func testUser(name string) User {
	return User{Name: name, Hash: credential.HashToken(credential.NewSecret("token of " + name)), Created: testTime, Serial: 1}
}

func mustAdd(t testing.TB, list ...User) (us Set) {
	t.Helper()
	for _, u := range list {
		var err error
		if us, err = us.Add(u); err != nil {
			t.Fatal(err)
		}
	}
	return us
}

func TestUsersRoundTrip(t *testing.T) {
	special := testUser("Zoë \"the\" \\ 7")
	special.MaxConnections, special.Disabled, special.Serial = 5, true, 3
	us := mustAdd(t, testUser("alice"), special)
	got, err := Parse(us.Encode(), "users.toml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(us, got, cmp.AllowUnexported(Set{}), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if bytes.Contains(us.Encode(), []byte("token of")) {
		t.Error("a token is in the file")
	}
	empty, err := Parse(Set{}.Encode(), "users.toml")
	if err != nil || empty.Len() != 0 {
		t.Errorf("empty: %v, %d users", err, empty.Len())
	}
}

func TestUsersMistakes(t *testing.T) {
	parse := func(b []byte, f string) error { _, err := Parse(b, f); return err }
	configtest.Refuses(t, parse, mistakes)
}

func TestManyMistakesAreBounded(t *testing.T) {
	_, err := Parse([]byte(strings.Repeat("[[user]]\n", 100)), "u.toml") // three mistakes each
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 101 || lines[100] != "u.toml: and 200 more mistakes" {
		t.Errorf("%d lines, the last is %s", len(lines), lines[len(lines)-1])
	}
}

func TestVerify(t *testing.T) {
	off := testUser("bob")
	off.Disabled = true
	us := mustAdd(t, testUser("alice"), off)
	for _, tt := range []struct {
		name, token string
		want        bool
	}{
		{"alice", "token of alice", true},
		{"alice", "token of bob", false},
		{"alice", "", false},
		{"bob", "token of bob", false}, // disabled
		{"carol", "token of carol", false},
		{"", "", false},
	} {
		if got := us.Verify(tt.name, tt.token); got != tt.want {
			t.Errorf("Verify(%q, %q) is %v", tt.name, tt.token, got)
		}
	}
	if (Set{}).Verify("", "") {
		t.Error("no users, yet one is accepted")
	}
}

func TestAddRemoveLeaveTheOriginal(t *testing.T) {
	one := mustAdd(t, testUser("alice"))
	two := mustAdd(t, testUser("alice"), testUser("bob"))
	if _, err := one.Add(testUser("alice")); !errors.Is(err, ErrExists) {
		t.Errorf("Add twice: %v", err)
	}
	if _, err := one.Remove("alcie"); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), `did you mean "alice"?`) {
		t.Errorf("Remove of an unknown one: %v", err)
	}
	rest, err := two.Remove("alice")
	if err != nil || !rest.Verify("bob", "token of bob") || rest.Verify("alice", "token of alice") {
		t.Errorf("Remove: %v, left are %v", err, rest.Names())
	}
	if diff := cmp.Diff([]string{"alice", "bob"}, two.Names()); diff != "" || one.Len() != 1 {
		t.Errorf("the originals changed: %v, %v", one.Names(), two.Names())
	}
	for _, bad := range []User{{Name: "a+b"}, {Name: "a", Serial: 0}, {Name: "a", Serial: 1, MaxConnections: -1}, {Name: "a", Serial: 1}, {Name: "a", Serial: 1, Created: testTime}} {
		if _, err := one.Add(bad); err == nil {
			t.Errorf("Add accepted %+v", bad)
		}
	}
}

func TestSave(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	file, alias := filepath.Join(dir, "users.toml"), filepath.Join(dir, "alias.toml")
	if _, err := Load(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if err := Save(ctx, file, mustAdd(t, testUser("alice"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("users.toml", alias); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if us, err := Load(file); err != nil || len(us.Warnings()) != 1 {
		t.Errorf("%v, warnings %q: want one about the mode", err, us.Warnings())
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(file, 12, 34); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Update(ctx, alias, func(us Set) (Set, error) { return us.Add(testUser("bob")) }); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(file)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode is %v, %v: want a regular file with 0600", info.Mode(), err)
	}
	if st := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 && (st.Uid != 12 || st.Gid != 34) {
		t.Errorf("owner is %d:%d, want 12:34", st.Uid, st.Gid)
	}
	if us, err := Load(alias); err != nil || us.Len() != 2 {
		t.Errorf("%v, %v", us.Names(), err)
	}
	wantFiles(t, dir, "alias.toml", "users.toml", "users.toml.lock")
}

// wantFiles says which files are in dir: no temporary one may be left.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestConcurrentUpdatesLoseNoUser(t *testing.T) {
	const writers, each = 8, 5
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	file := filepath.Join(t.TempDir(), "users.toml")
	if err := Save(ctx, file, Set{}); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, writers*each)
	addUsers := func(writer int) {
		for i := range each {
			_, err := Update(ctx, file, func(us Set) (Set, error) {
				return us.Add(testUser(fmt.Sprintf("user-%d-%d", writer, i)))
			})
			errs <- err
		}
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { addUsers(w) })
	}
	for range writers * each { // readers see whole files only, while writers work
		if _, err := Load(file); err != nil {
			t.Error(err)
		}
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	us, err := Load(file)
	if err != nil || us.Len() != writers*each {
		t.Errorf("%d users, want %d; %v", us.Len(), writers*each, err)
	}
	wantFiles(t, filepath.Dir(file), "users.toml", "users.toml.lock")
}

func TestUpdateGivesUpWhenTheContextEnds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.toml")
	unlock, err := lock(context.Background(), file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Save(ctx, file, Set{}); !errors.Is(err, context.Canceled) {
		t.Errorf("locked: %v", err)
	}
	unlock()
	if err := Save(context.Background(), file, Set{}); err != nil {
		t.Error(err)
	}
}

func TestFailedChangeWritesNothing(t *testing.T) {
	ctx, file := context.Background(), filepath.Join(t.TempDir(), "users.toml")
	if err := Save(ctx, file, mustAdd(t, testUser("alice"))); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(file)
	_, err := Update(ctx, file, func(us Set) (Set, error) { return us.Remove("bob") })
	if after, _ := os.ReadFile(file); !errors.Is(err, ErrUnknown) || !bytes.Equal(before, after) {
		t.Errorf("%v; the file is\n%s", err, after)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(mustAdd(f, testUser("alice"), testUser("Zoë \"\\")).Encode())
	for _, m := range mistakes {
		f.Add([]byte(m.Text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		us, err := Parse(text, "f.toml")
		if err != nil {
			if problem := configtest.Problem(err, text); problem != "" {
				t.Fatal(problem)
			}
			return
		}
		again, err := Parse(us.Encode(), "f.toml")
		if diff := cmp.Diff(us, again, cmp.AllowUnexported(Set{}), cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("printed and parsed again: %v\n%s", err, diff)
		}
	})
}
