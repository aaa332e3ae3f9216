package config

import (
	"bytes"
	"context"
	"encoding/hex"
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

	"mpproxy/pathctl/policy"
)

// wantToken is the token of alice, serial 1, under the key 00 01 … 1f.
const wantToken = "XrR9rWkWREUdPJ2kWsWuKS2y"

var testTime = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func testUser(name string) User {
	return User{Name: name, Hash: HashToken(NewSecret("token of " + name)), Created: testTime, Serial: 1}
}

func mustUsers(t testing.TB, list ...User) (us Users) {
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
	us := mustUsers(t, testUser("alice"), special)
	got, err := ParseUsers(us.Encode(), "users.toml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(us, got, equal); diff != "" {
		t.Error(diff)
	}
	if bytes.Contains(us.Encode(), []byte("token of")) {
		t.Error("a token is in the file")
	}
	empty, err := ParseUsers(Users{}.Encode(), "users.toml")
	if err != nil || empty.Len() != 0 {
		t.Errorf("empty: %v, %d users", err, empty.Len())
	}
}

func TestUsersMistakes(t *testing.T) {
	parse := func(b []byte, f string) error { _, err := ParseUsers(b, f); return err }
	mistakes(t, parse, usersMistakes)
}

func TestManyMistakesAreBounded(t *testing.T) {
	_, err := ParseUsers([]byte(strings.Repeat("[[user]]\n", 100)), "u.toml") // three mistakes each
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxErrors+1 || lines[maxErrors] != "u.toml: and 200 more mistakes" {
		t.Errorf("%d lines, the last is %s", len(lines), lines[len(lines)-1])
	}
}

func TestVerify(t *testing.T) {
	off := testUser("bob")
	off.Disabled = true
	us := mustUsers(t, testUser("alice"), off)
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
	if (Users{}).Verify("", "") {
		t.Error("no users, yet one is accepted")
	}
}

func TestAddRemoveLeaveTheOriginal(t *testing.T) {
	one := mustUsers(t, testUser("alice"))
	two := mustUsers(t, testUser("alice"), testUser("bob"))
	if _, err := one.Add(testUser("alice")); !errors.Is(err, ErrUserExists) {
		t.Errorf("Add twice: %v", err)
	}
	if _, err := one.Remove("alcie"); !errors.Is(err, ErrNoUser) || !strings.Contains(err.Error(), `did you mean "alice"?`) {
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

func TestSaveUsers(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	file, alias := filepath.Join(dir, "users.toml"), filepath.Join(dir, "alias.toml")
	if _, err := LoadUsers(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if err := SaveUsers(ctx, file, mustUsers(t, testUser("alice"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("users.toml", alias); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if us, err := LoadUsers(file); err != nil || len(us.Warnings()) != 1 {
		t.Errorf("%v, warnings %q: want one about the mode", err, us.Warnings())
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(file, 12, 34); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := UpdateUsers(ctx, alias, func(us Users) (Users, error) { return us.Add(testUser("bob")) }); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(file)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode is %v, %v: want a regular file with 0600", info.Mode(), err)
	}
	if st := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 && (st.Uid != 12 || st.Gid != 34) {
		t.Errorf("owner is %d:%d, want 12:34", st.Uid, st.Gid)
	}
	if us, err := LoadUsers(alias); err != nil || us.Len() != 2 {
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
	if err := SaveUsers(ctx, file, Users{}); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, writers*each)
	addUsers := func(writer int) {
		for i := range each {
			_, err := UpdateUsers(ctx, file, func(us Users) (Users, error) {
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
		if _, err := LoadUsers(file); err != nil {
			t.Error(err)
		}
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	us, err := LoadUsers(file)
	if err != nil || us.Len() != writers*each {
		t.Errorf("%d users, want %d; %v", us.Len(), writers*each, err)
	}
	wantFiles(t, filepath.Dir(file), "users.toml", "users.toml.lock")
}

func TestUpdateGivesUpWhenTheContextEnds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.toml")
	unlock, err := lockUsers(context.Background(), file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := SaveUsers(ctx, file, Users{}); !errors.Is(err, context.Canceled) {
		t.Errorf("locked: %v", err)
	}
	unlock()
	if err := SaveUsers(context.Background(), file, Users{}); err != nil {
		t.Error(err)
	}
}

func TestFailedChangeWritesNothing(t *testing.T) {
	ctx, file := context.Background(), filepath.Join(t.TempDir(), "users.toml")
	if err := SaveUsers(ctx, file, mustUsers(t, testUser("alice"))); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(file)
	_, err := UpdateUsers(ctx, file, func(us Users) (Users, error) { return us.Remove("bob") })
	if after, _ := os.ReadFile(file); !errors.Is(err, ErrNoUser) || !bytes.Equal(before, after) {
		t.Errorf("%v; the file is\n%s", err, after)
	}
}

func TestTokens(t *testing.T) {
	key, err := ParseTokenKey([]byte(tokenKeyPrefix + testPin + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	// wantToken was computed apart, with another language's HMAC.
	if got := Token(key, "alice", 1).Reveal(); got != wantToken {
		t.Errorf("token is %s, want %s: links that were handed out would stop working", got, wantToken)
	}
	other, err := NewTokenKey()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[Secret]bool{}
	for _, token := range []Secret{Token(key, "alice", 1), Token(key, "alice", 2), Token(key, "bob", 1), Token(other, "alice", 1), Token(key, "alice\x00", 1)} {
		if seen[token] || len(token.Reveal()) != 24 {
			t.Errorf("token %q is not new or not long enough", token.Reveal())
		}
		seen[token] = true
	}
	sum := HashToken(NewSecret("abc")) // FIPS 180-4's example
	if got := hex.EncodeToString(sum[:]); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("hash is %s", got)
	}
}

func TestTokenKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "token.key")
	key, err := NewTokenKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := WritePrivate(file, key.Encode()); err != nil {
		t.Fatal(err)
	}
	got, err := LoadTokenKey(file)
	if err != nil || got != key {
		t.Errorf("%v; the key came back another: %v", err, got != key)
	}
	for mode, ok := range map[fs.FileMode]bool{0o600: true, 0o640: true, 0o400: true, 0o644: false, 0o660: false, 0o601: false} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadTokenKey(file); ok != (err == nil) || !ok && !errors.Is(err, fs.ErrPermission) {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	for _, bad := range []string{"", "x", tokenKeyPrefix, tokenKeyPrefix + testPin[1:], tokenKeyPrefix + testPin + "A"} {
		if _, err := ParseTokenKey([]byte(bad)); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
	if shown := fmt.Sprintf("%v %+v %#v %+v", key, &key, key, struct{ k TokenKey }{key}); strings.Contains(shown, strings.TrimSpace(string(key.Encode()[len(tokenKeyPrefix):]))) {
		t.Errorf("the key shows: %s", shown)
	}
}

func TestWritePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	file := filepath.Join(dir, "secret")
	if err := WritePrivate(file, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := WritePrivate(file, []byte("two")); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "is not overwritten") {
		t.Errorf("second write: %v", err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory's mode is %v, %v", info.Mode(), err)
	}
	if text, _ := os.ReadFile(file); string(text) != "one" {
		t.Errorf("the file has %q", text)
	}
	wantFiles(t, dir, "secret")
}

func TestUserNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"alice": true, "alice@example.net": true, "Zoë": true, "a b": true, strings.Repeat("x", MaxUserName): true,
		"": false, "a+b": false, "a:b": false, "a\tb": false, "a\u0085b": false, " a": false, "\xff": false, strings.Repeat("x", MaxUserName+1): false,
	} {
		if err := CheckUserName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, m := range policy.Modes() { // RFC 1929 §2
		if n := len(JoinUserMode(strings.Repeat("x", MaxUserName), string(m))); n > 255 {
			t.Errorf("with mode %s the longest name has %d bytes", m, n)
		}
	}
	for _, tt := range []struct{ in, user, mode string }{
		{"alice", "alice", ""}, {"alice+handover", "alice", "handover"}, {"+lazy", "", "lazy"}, {"", "", ""},
	} {
		if u, m := SplitUserMode(tt.in); u != tt.user || m != tt.mode {
			t.Errorf("%q splits into %q, %q", tt.in, u, m)
		}
		if got := JoinUserMode(tt.user, tt.mode); got != tt.in {
			t.Errorf("joined %q, want %q", got, tt.in)
		}
	}
}
