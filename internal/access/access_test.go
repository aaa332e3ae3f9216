package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/accounts"
	"mpproxy/accounts/file"
	"mpproxy/config"
	"mpproxy/config/credential"
	"mpproxy/config/userfile"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
	"mpproxy/proxy"
)

// modes are the built-in ones and one of the user's own.
var modes = append(policy.BuiltIn(), policy.Spec{Name: "calls", Base: mode.Interactive, Params: policy.DefaultParams(mode.Interactive)})

// attempt is one try to get in.
type attempt struct {
	name, user, secret string
	want               proxy.Identity
	refused            bool
	says               string // part of the refusal
}

func try(t *testing.T, auth interface {
	Authenticate(ctx context.Context, user, secret string) (proxy.Identity, error)
}, attempts []attempt,
) {
	t.Helper()
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			got, err := auth.Authenticate(t.Context(), a.user, a.secret)
			if a.refused {
				if !errors.Is(err, proxy.ErrAuthenticationFailed) {
					t.Fatalf("Authenticate = %+v, %v; want ErrAuthenticationFailed", got, err)
				}
				if !strings.Contains(err.Error(), a.says) {
					t.Errorf("refused with %q, want %q in it", err, a.says)
				}
				if a.secret != "" && strings.Contains(err.Error(), a.secret) {
					t.Errorf("the refusal shows the secret: %q", err)
				}
				if got != (proxy.Identity{}) {
					t.Errorf("a refusal comes with %+v", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(a.want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLocalWithoutUsers(t *testing.T) {
	l := Local{Default: "lazy", Modes: modes, Names: []string{"torrent"}}
	if !l.Open() {
		t.Error("not open without users")
	}
	try(t, l, []attempt{
		{name: "nobody", want: proxy.Identity{Mode: "lazy"}},
		{name: "mode", user: "handover", want: proxy.Identity{Mode: "handover", Asked: true}},
		{name: "mode with any password", user: "single", secret: "x", want: proxy.Identity{Mode: "single", Asked: true}},
		{name: "user and mode", user: "alice+interactive", want: proxy.Identity{User: "alice", Mode: "interactive", Asked: true}},
		{name: "plus and mode", user: "+backup", want: proxy.Identity{Mode: "backup", Asked: true}},
		{name: "user of a rule", user: "torrent", want: proxy.Identity{User: "torrent", Mode: "lazy"}},
		{name: "user of a rule and mode", user: "torrent+single", want: proxy.Identity{User: "torrent", Mode: "single", Asked: true}},
		{name: "mode of the user's own", user: "calls", want: proxy.Identity{Mode: "calls", Asked: true}},
		{name: "what Java shows", user: "root", want: proxy.Identity{User: "root", Mode: "lazy"}},
		{name: "what isolates streams", user: "x7f3", secret: "x7f3", want: proxy.Identity{User: "x7f3", Mode: "lazy"}},
		{name: "random base64", user: "q+x/8A==", want: proxy.Identity{User: "q+x/8A==", Mode: "lazy"}},
		{name: "bytes that are no text", user: "\x00\xff\x1b[2J", want: proxy.Identity{User: "\x00\xff\x1b[2J", Mode: "lazy"}},
		{name: "unknown mode", user: "alice+fast", want: proxy.Identity{User: "alice+fast", Mode: "lazy"}},
		{name: "user of a rule and unknown mode", user: "torrent+fast", want: proxy.Identity{User: "torrent", Mode: "lazy"}},
		{name: "mode in another case", user: "Handover", want: proxy.Identity{User: "Handover", Mode: "lazy"}},
		{name: "plus alone", user: "+", want: proxy.Identity{Mode: "lazy"}},
	})
}

// TestMisspeltModeIsLogged: a name that was meant to choose a mode and does not is said
// once, with the nearest mode; names that mean nothing are not said.
func TestMisspeltModeIsLogged(t *testing.T) {
	var out strings.Builder
	l := Local{Default: "lazy", Modes: modes, Names: []string{"torrent"}}
	l.Misspelt = LogMisspelt(slog.New(slog.NewTextHandler(&out, nil)))
	for _, name := range []string{"", "root", "x7f3", "torrent", "handover", "torrent+single", "bob"} {
		_, _ = l.Authenticate(t.Context(), name, "")
		if out.Len() > 0 {
			t.Errorf("%q is logged: %s", name, &out)
			out.Reset()
		}
	}
	for name, want := range map[string]string{
		"hand-over": `did you mean "handover"?`, "Handover": `did you mean "handover"?`,
		"alice+agregate": `did you mean "aggregate"?`, "torrent+fast": `unknown mode "fast"`,
	} {
		_, _ = l.Authenticate(t.Context(), name, "")
		_, _ = l.Authenticate(t.Context(), name, "")
		if s := strings.ReplaceAll(out.String(), `\"`, `"`); strings.Count(s, "\n") != 1 || !strings.Contains(s, want) {
			t.Errorf("%q gives the log %q, want one line with %q", name, s, want)
		}
		out.Reset()
	}
	for i := range 3 * mostMisspelt {
		_, _ = l.Authenticate(t.Context(), fmt.Sprintf("x%d+y", i), "")
	}
	if n := strings.Count(out.String(), "\n"); n >= mostMisspelt {
		t.Errorf("%d lines about names that change all the time", n)
	}
}

func TestLocalWithUsers(t *testing.T) {
	l := Local{Default: "aggregate", Modes: modes, Users: []config.SocksUser{
		{Name: "alice", Password: credential.NewSecret("open-sesame")},
		{Name: "bob", Password: credential.NewSecret("swordfish")},
	}}
	if l.Open() {
		t.Error("open although there are users")
	}
	try(t, l, []attempt{
		{name: "first", user: "alice", secret: "open-sesame", want: proxy.Identity{User: "alice", Mode: "aggregate"}},
		{name: "last", user: "bob", secret: "swordfish", want: proxy.Identity{User: "bob", Mode: "aggregate"}},
		{name: "with a mode", user: "bob+single", secret: "swordfish", want: proxy.Identity{User: "bob", Mode: "single", Asked: true}},
		{name: "empty mode", user: "bob+", secret: "swordfish", want: proxy.Identity{User: "bob", Mode: "aggregate"}},
		{name: "wrong password", user: "alice", secret: "swordfish", refused: true, says: `"alice"`},
		{name: "no password", user: "alice", refused: true},
		{name: "longer password", user: "alice", secret: "open-sesame2", refused: true},
		{name: "unknown user", user: "carol", secret: "swordfish", refused: true, says: `"carol"`},
		{name: "nobody", refused: true},
		{name: "mode alone", user: "single", secret: "swordfish", refused: true},
		{name: "unknown mode", user: "alice+fast", secret: "open-sesame", refused: true, says: `user "alice": unknown mode "fast"`},
		{name: "unknown mode and wrong password", user: "alice+fast", secret: "guess", refused: true, says: "wrong password"},
		{name: "name in another case", user: "Alice", secret: "open-sesame", refused: true},
	})
}

// storeOf keeps users in a file; each one's token is the name with "-token".
func storeOf(t *testing.T, us userfile.Set) accounts.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users.toml")
	if err := userfile.Save(t.Context(), path, us); err != nil {
		t.Fatal(err)
	}
	store, err := file.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// users makes enabled users.
func users(t *testing.T, names ...string) userfile.Set {
	t.Helper()
	var us userfile.Set
	for i, n := range names {
		var err error
		us, err = us.Add(userfile.User{
			Name: n, Serial: i + 1, Created: time.Unix(1_700_000_000, 0).UTC(), Hash: sha256.Sum256([]byte(n + "-token")),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return us
}

func grantOf(t *testing.T, r Remote, user string) string {
	t.Helper()
	a, err := r.Store.Account(t.Context(), user)
	if err != nil || a.Grant == "" {
		t.Fatalf("%+v, %v", a, err)
	}
	return a.Grant
}

// TestStill: who is removed, disabled, or given another token under the same name is not
// who he was.
func TestStill(t *testing.T) {
	alice := users(t, "alice")
	r := Remote{Store: storeOf(t, alice), Default: "handover", Modes: modes}
	grant := grantOf(t, r, "alice")
	other := alice.All()[0]
	other.Hash = sha256.Sum256([]byte("another token"))
	disabled := alice.All()[0]
	disabled.Disabled = true
	for name, tt := range map[string]struct {
		now  []userfile.User
		want error
	}{
		"the same":      {alice.All(), nil},
		"removed":       {nil, proxy.ErrRevoked},
		"another token": {[]userfile.User{other}, proxy.ErrRevoked},
		"disabled":      {[]userfile.User{disabled}, proxy.ErrRevoked},
		"somebody else": {users(t, "bob").All(), proxy.ErrRevoked},
		"one user more": {users(t, "alice", "bob").All(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var now userfile.Set
			for _, u := range tt.now {
				var err error
				if now, err = now.Add(u); err != nil {
					t.Fatal(err)
				}
			}
			if err := (Remote{Store: storeOf(t, now)}).Still(t.Context(), "alice", grant); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestRemote(t *testing.T) {
	r := Remote{Store: storeOf(t, users(t, "alice", "bob")), Default: "handover", Modes: modes}
	if r.Open() {
		t.Error("the concentrator is open")
	}
	try(t, r, []attempt{
		{name: "token", user: "alice", secret: "alice-token", want: proxy.Identity{User: "alice", Mode: "handover", Grant: grantOf(t, r, "alice")}},
		{name: "with a mode", user: "bob+refresh", secret: "bob-token", want: proxy.Identity{User: "bob", Mode: "refresh", Asked: true, Grant: grantOf(t, r, "bob")}},
		{name: "token of another", user: "bob", secret: "alice-token", refused: true, says: `"bob"`},
		{name: "hash for a token", user: "bob", secret: hashOf("bob-token"), refused: true},
		{name: "unknown user", user: "carol", secret: "carol-token", refused: true, says: `"carol"`},
		{name: "nobody", refused: true},
		{name: "mode alone", user: "handover", secret: "alice-token", refused: true},
		{name: "unknown mode", user: "alice+fast", secret: "alice-token", refused: true, says: `unknown mode "fast"`},
		{name: "unknown mode and wrong token", user: "alice+fast", secret: "guess", refused: true, says: "wrong token"},
	})
}

func TestDisabledUser(t *testing.T) {
	us, err := userfile.Parse([]byte(strings.Replace(string(users(t, "alice").Encode()), "[[user]]", "[[user]]\ndisabled = true", 1)), "users.toml")
	if err != nil {
		t.Fatal(err)
	}
	try(t, Remote{Store: storeOf(t, us), Default: "aggregate", Modes: modes}, []attempt{
		{name: "right token", user: "alice", secret: "alice-token", refused: true, says: "disabled"},
		{name: "wrong token", user: "alice", secret: "guess", refused: true, says: "unknown user"},
	})
}

// awayStore cannot tell who anybody is.
type awayStore struct{ accounts.Store }

var errAway = errors.New("the store is away")

func (awayStore) Verify(context.Context, string, string) (accounts.Account, error) {
	return accounts.Account{}, errAway
}

// TestStoreIsAway: a store that cannot tell refuses nobody, and lets nobody in.
func TestStoreIsAway(t *testing.T) {
	id, err := Remote{Store: awayStore{}, Default: "aggregate", Modes: modes}.Authenticate(t.Context(), "alice", "alice-token")
	if !errors.Is(err, proxy.ErrUnverified) || !errors.Is(err, errAway) || errors.Is(err, proxy.ErrAuthenticationFailed) || id != (proxy.Identity{}) {
		t.Errorf("%+v, %v", id, err)
	}
}

// hashOf is what a thief of the users file knows.
func hashOf(token string) string {
	h := credential.HashToken(credential.NewSecret(token))
	return string(h[:])
}
