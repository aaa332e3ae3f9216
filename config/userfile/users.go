package userfile

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"mpproxy/config/credential"
	"mpproxy/config/tomlfile"
)

// User is one user of the concentrator.
type User struct {
	Name           string    // see CheckUserName
	Hash           [32]byte  // SHA-256 of the token
	Created        time.Time // in UTC, to the second
	Serial         int       // generation of the token, from 1; see Token
	MaxConnections int       // 1 to 1,000,000; 0 means the server's max_connections_per_user
	Disabled       bool      // known, but refused
}

// MaxConnections is the most that a user may be allowed to have at a time.
const MaxConnections = 1_000_000

// Errors of Users.
var (
	ErrExists  = errors.New("the user exists already")
	ErrUnknown = errors.New("there is no such user")
)

// Set is an immutable set of users, safe for concurrent use. The zero value is
// empty.
type Set struct {
	list     []User // in the order of the file
	index    map[string]int
	warnings []string
	ended    bool // the file that was loaded has endMark
}

// Len returns the number of users.
func (us Set) Len() int { return len(us.list) }

// All returns the users in the order of the file.
func (us Set) All() []User { return slices.Clone(us.list) }

// Ended reports whether the file that was loaded has its last line. Files of older versions
// have none.
func (us Set) Ended() bool { return us.ended }

// Warnings returns findings about the file that was loaded.
func (us Set) Warnings() []string { return slices.Clone(us.warnings) }

// Names returns the users' names in the order of the file.
func (us Set) Names() []string {
	names := make([]string, len(us.list))
	for i, u := range us.list {
		names[i] = u.Name
	}
	return names
}

// Lookup finds a user by name, disabled ones too.
func (us Set) Lookup(name string) (User, bool) {
	i, ok := us.index[name]
	if !ok {
		return User{}, false
	}
	return us.list[i], true
}

// Verify says whether token is the token of the enabled user called name.
func (us Set) Verify(name, token string) bool {
	u, own := us.Owner(name, token)
	return own && !u.Disabled
}

// Owner returns the user called name, who may be disabled, if token is his. It takes the
// same steps for unknown names, and compares in constant time.
func (us Set) Owner(name, token string) (u User, own bool) {
	sum := sha256.Sum256([]byte(token))
	u, known := us.Lookup(name)
	match := subtle.ConstantTimeCompare(sum[:], u.Hash[:]) // against zeros for unknown names
	if match&boolInt(known) != 1 {
		return User{}, false
	}
	return u, true
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Add returns the set with one more user. The error is ErrExists for a name
// that is taken, or says what is wrong with the user's values.
func (us Set) Add(u User) (Set, error) {
	u.Created = u.Created.UTC().Truncate(time.Second)
	if err := checkUser(u); err != nil {
		return us, err
	}
	if _, taken := us.index[u.Name]; taken {
		return us, fmt.Errorf("user %q: %w: print the link again with `mpproxy-server user link`", u.Name, ErrExists)
	}
	return newSet(append(slices.Clone(us.list), u)), nil
}

// Remove returns the set without the user called name, or ErrUnknown.
func (us Set) Remove(name string) (Set, error) {
	i, ok := us.index[name]
	if !ok {
		return us, fmt.Errorf("user %q: %w%s", name, ErrUnknown, tomlfile.DidYouMean(name, us.Names()))
	}
	return newSet(slices.Delete(slices.Clone(us.list), i, i+1)), nil
}

// newSet takes ownership of list, whose names are distinct.
func newSet(list []User) Set {
	us := Set{list: list, index: make(map[string]int, len(list))}
	for i, u := range list {
		us.index[u.Name] = i
	}
	return us
}

func checkUser(u User) error {
	switch {
	case credential.CheckUserName(u.Name) != nil:
		return credential.CheckUserName(u.Name)
	case u.Serial < 1 || u.Serial > math.MaxInt32:
		return fmt.Errorf("user %q: serial %d is out of range: allowed is 1 to %d", u.Name, u.Serial, math.MaxInt32)
	case u.MaxConnections < 0 || u.MaxConnections > MaxConnections:
		return fmt.Errorf("user %q: max_connections %d is out of range: allowed is 0 to %d", u.Name, u.MaxConnections, MaxConnections)
	case u.Created.Year() < 1970 || u.Created.Year() > 9998:
		return fmt.Errorf("user %q: the time of creation %v is out of range", u.Name, u.Created)
	case u.Hash == [32]byte{}:
		return fmt.Errorf("user %q has no token hash", u.Name)
	}
	return nil
}

type rawUsers struct {
	Users []rawUser `toml:"user"`
}

type rawUser struct {
	tomlfile.Mark
	Name           tomlfile.Field[string]    `toml:"name"`
	Hash           tomlfile.Field[string]    `toml:"hash" secret:"yes"`
	Created        tomlfile.Field[time.Time] `toml:"created"`
	Serial         tomlfile.Field[int64]     `toml:"serial"`
	MaxConnections tomlfile.Field[int64]     `toml:"max_connections"`
	Disabled       tomlfile.Field[bool]      `toml:"disabled"`
}

// Parse reads the text of a users file; filename is for messages. The
// error, if any, is of type Errors and holds every mistake.
func Parse(data []byte, filename string) (Set, error) {
	var raw rawUsers
	r, ok := tomlfile.Parse(string(data), filename, &raw, tomlfile.Program{})
	if !ok {
		return Set{}, r.Mistakes.OrNil()
	}
	c := userCheck{tomlfile.Checker{Report: r}}
	list := make([]User, 0, len(raw.Users))
	seen := make(map[string]int, len(raw.Users))
	for _, u := range raw.Users {
		if line, twice := seen[u.Name.Value]; twice && u.Name.IsSet {
			c.At(u.Name.Mark, "%q is already in line %d: remove one of them", u.Name.Value, line)
		}
		seen[u.Name.Value] = u.Name.Line
		list = append(list, c.user(u))
	}
	if err := r.Mistakes.OrNil(); err != nil {
		return Set{}, err
	}
	return newSet(list), nil
}

// userCheck turns the fields of a user into values.
type userCheck struct{ tomlfile.Checker }

func (c userCheck) user(raw rawUser) User {
	if raw.Name.IsAbsent() {
		c.At(raw.Mark, "the user has no name: add name = \"…\"")
	} else if err := credential.CheckUserName(raw.Name.Value); err != nil && raw.Name.IsSet {
		c.At(raw.Name.Mark, "%v", err)
	}
	return User{
		Name:           raw.Name.Value,
		Hash:           c.hash(raw),
		Created:        c.created(raw),
		Serial:         c.Number(raw.Serial, 1, 1, math.MaxInt32),
		MaxConnections: c.Number(raw.MaxConnections, 0, 0, MaxConnections),
		Disabled:       raw.Disabled.Value,
	}
}

// hash reads "sha256:HEX". The value is not shown: it may be the token itself.
func (c userCheck) hash(raw rawUser) (sum [32]byte) {
	const want = `"sha256:" and the 64 hexadecimal digits of the token's SHA-256`
	if raw.Hash.IsAbsent() {
		c.At(raw.Mark, "the user has no hash: it is %s, as `mpproxy-server user add` writes it", want)
		return sum
	}
	if !raw.Hash.IsSet {
		return sum
	}
	digits, ok := strings.CutPrefix(raw.Hash.Value, "sha256:")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != len(sum) || [32]byte(b) == sum {
		c.At(raw.Hash.Mark, "is not a hash: it must be %s, as `mpproxy-server user add` writes it", want)
		return sum
	}
	return [32]byte(b)
}

func (c userCheck) created(raw rawUser) time.Time {
	if raw.Created.IsAbsent() {
		c.At(raw.Mark, "the user has no created: add the time of creation, such as created = 2026-01-31T12:00:00Z")
		return time.Time{}
	}
	if !raw.Created.IsSet {
		return time.Time{}
	}
	t := raw.Created.Value
	if name := t.Location().String(); strings.HasSuffix(name, "-local") { // toml's marks for times without zone
		c.At(raw.Created.Mark, "has no time zone: write a date and time such as 2026-01-31T12:00:00Z")
	} else if t = t.UTC().Truncate(time.Second); t.Year() < 1970 || t.Year() > 9998 {
		c.At(raw.Created.Mark, "the year %d is out of range: allowed is 1970 to 9998", t.Year())
	}
	return t
}

// endMark is the last line of a users file, by which one that was written by half is known.
const endMark = "End of the users. Keep this line the last one."

// Encode returns the text of a users file; Parse reads it back.
func (us Set) Encode() []byte {
	var w tomlfile.Writer
	w.Comment("The users of mpproxy-server. Written by `mpproxy-server user add` and `remove`;",
		"edits by hand are welcome and take effect at once. It holds hashes, not tokens.")
	for _, u := range us.list {
		w.Tables("user")
		w.Str("name", u.Name)
		w.Str("hash", "sha256:"+hex.EncodeToString(u.Hash[:]))
		w.Raw("created", u.Created.UTC().Format(time.RFC3339))
		w.Num("serial", u.Serial)
		if u.MaxConnections != 0 {
			w.Num("max_connections", u.MaxConnections)
		}
		if u.Disabled {
			w.Bool("disabled", true)
		}
	}
	w.Comment(endMark)
	return w.Bytes()
}
