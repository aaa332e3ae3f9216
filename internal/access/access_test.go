package access

import (
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/config"
	"mpproxy/pathctl/policy"
	"mpproxy/proxy"
)

// modes are the built-in ones and one of the user's own.
var modes = append(policy.BuiltIn(), policy.Spec{Name: "calls", Base: policy.Interactive, Params: policy.DefaultParams(policy.Interactive)})

// attempt is one try to get in.
type attempt struct {
	name, user, secret string
	want               proxy.Identity
	refused            bool
	says               string // part of the refusal
}

func try(t *testing.T, auth interface {
	Authenticate(user, secret string) (proxy.Identity, error)
}, attempts []attempt,
) {
	t.Helper()
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			got, err := auth.Authenticate(a.user, a.secret)
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
		{name: "no mode", user: "alice", refused: true, says: `unknown mode "alice"`},
		{name: "unknown mode", user: "alice+fast", refused: true, says: `unknown mode "fast"`},
		{name: "mode in another case", user: "Handover", refused: true, says: `unknown mode "Handover"`},
	})
}

func TestLocalWithUsers(t *testing.T) {
	l := Local{Default: "aggregate", Modes: modes, Users: []config.SocksUser{
		{Name: "alice", Password: config.NewSecret("open-sesame")},
		{Name: "bob", Password: config.NewSecret("swordfish")},
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

// users makes enabled users; each one's token is the name with "-token".
func users(t *testing.T, names ...string) config.Users {
	t.Helper()
	var us config.Users
	for i, n := range names {
		var err error
		us, err = us.Add(config.User{
			Name: n, Serial: i + 1, Created: time.Unix(1_700_000_000, 0).UTC(), Hash: sha256.Sum256([]byte(n + "-token")),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return us
}

func TestRemote(t *testing.T) {
	r := NewRemote(users(t, "alice", "bob"), "handover", modes)
	if r.Open() {
		t.Error("the concentrator is open")
	}
	try(t, r, []attempt{
		{name: "token", user: "alice", secret: "alice-token", want: proxy.Identity{User: "alice", Mode: "handover"}},
		{name: "with a mode", user: "bob+refresh", secret: "bob-token", want: proxy.Identity{User: "bob", Mode: "refresh", Asked: true}},
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
	us, err := config.ParseUsers([]byte(strings.Replace(string(users(t, "alice").Encode()), "[[user]]", "[[user]]\ndisabled = true", 1)), "users.toml")
	if err != nil {
		t.Fatal(err)
	}
	try(t, NewRemote(us, "aggregate", modes), []attempt{{name: "right token", user: "alice", secret: "alice-token", refused: true}})
}

func TestReplaceUsers(t *testing.T) {
	r := NewRemote(users(t, "alice"), "aggregate", modes)
	r.Replace(users(t, "bob"))
	try(t, r, []attempt{
		{name: "removed", user: "alice", secret: "alice-token", refused: true},
		{name: "added", user: "bob", secret: "bob-token", want: proxy.Identity{User: "bob", Mode: "aggregate"}},
	})
	if r.Users().Len() != 1 {
		t.Errorf("%d users are known, want 1", r.Users().Len())
	}
}

// TestReplaceWhileInUse is for the race detector: no user who is in both lists
// may be refused in between.
func TestReplaceWhileInUse(t *testing.T) {
	lists := []config.Users{users(t, "alice"), users(t, "bob", "alice")}
	r := NewRemote(lists[0], "aggregate", modes)
	var replacing sync.WaitGroup
	replacing.Go(func() {
		for i := range 200 {
			r.Replace(lists[i%2])
		}
	})
	for range 200 {
		if _, err := r.Authenticate("alice", "alice-token"); err != nil {
			t.Error(err)
			break
		}
	}
	replacing.Wait()
}

// hashOf is what a thief of the users file knows.
func hashOf(token string) string {
	h := config.HashToken(config.NewSecret(token))
	return string(h[:])
}
