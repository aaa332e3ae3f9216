package config

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

// Errors of Users.
var (
	ErrUserExists = errors.New("the user exists already")
	ErrNoUser     = errors.New("there is no such user")
)

// Users is an immutable set of users, safe for concurrent use. The zero value is
// empty.
type Users struct {
	list     []User // in the order of the file
	index    map[string]int
	warnings []string
}

// Len returns the number of users.
func (us Users) Len() int { return len(us.list) }

// All returns the users in the order of the file.
func (us Users) All() []User { return slices.Clone(us.list) }

// Warnings returns findings about the file that was loaded.
func (us Users) Warnings() []string { return slices.Clone(us.warnings) }

// Names returns the users' names in the order of the file.
func (us Users) Names() []string {
	names := make([]string, len(us.list))
	for i, u := range us.list {
		names[i] = u.Name
	}
	return names
}

// Lookup finds a user by name, disabled ones too.
func (us Users) Lookup(name string) (User, bool) {
	i, ok := us.index[name]
	if !ok {
		return User{}, false
	}
	return us.list[i], true
}

// Verify says whether token is the token of the enabled user called name. It
// takes the same steps for unknown names, and compares in constant time.
func (us Users) Verify(name, token string) bool {
	sum := sha256.Sum256([]byte(token))
	u, known := us.Lookup(name)
	match := subtle.ConstantTimeCompare(sum[:], u.Hash[:]) // against zeros for unknown names
	return match&boolInt(known)&boolInt(!u.Disabled) == 1
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Add returns the set with one more user. The error is ErrUserExists for a name
// that is taken, or says what is wrong with the user's values.
func (us Users) Add(u User) (Users, error) {
	u.Created = u.Created.UTC().Truncate(time.Second)
	if err := checkUser(u); err != nil {
		return us, err
	}
	if _, taken := us.index[u.Name]; taken {
		return us, fmt.Errorf("user %q: %w: print the link again with `mpproxy-server user link`", u.Name, ErrUserExists)
	}
	return newUsers(append(slices.Clone(us.list), u)), nil
}

// Remove returns the set without the user called name, or ErrNoUser.
func (us Users) Remove(name string) (Users, error) {
	i, ok := us.index[name]
	if !ok {
		return us, fmt.Errorf("user %q: %w%s", name, ErrNoUser, didYouMean(name, us.Names()))
	}
	return newUsers(slices.Delete(slices.Clone(us.list), i, i+1)), nil
}

// newUsers takes ownership of list, whose names are distinct.
func newUsers(list []User) Users {
	us := Users{list: list, index: make(map[string]int, len(list))}
	for i, u := range list {
		us.index[u.Name] = i
	}
	return us
}

func checkUser(u User) error {
	switch {
	case CheckUserName(u.Name) != nil:
		return CheckUserName(u.Name)
	case u.Serial < 1 || u.Serial > math.MaxInt32:
		return fmt.Errorf("user %q: serial %d is out of range: allowed is 1 to %d", u.Name, u.Serial, math.MaxInt32)
	case u.MaxConnections < 0 || u.MaxConnections > maxConnectionsLimit:
		return fmt.Errorf("user %q: max_connections %d is out of range: allowed is 0 to %d", u.Name, u.MaxConnections, maxConnectionsLimit)
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
	mark
	Name           field[string]    `toml:"name"`
	Hash           field[string]    `toml:"hash" secret:"yes"`
	Created        field[time.Time] `toml:"created"`
	Serial         field[int64]     `toml:"serial"`
	MaxConnections field[int64]     `toml:"max_connections"`
	Disabled       field[bool]      `toml:"disabled"`
}

// ParseUsers reads the text of a users file; filename is for messages. The
// error, if any, is of type Errors and holds every mistake.
func ParseUsers(data []byte, filename string) (Users, error) {
	var raw rawUsers
	r, lines := parse(string(data), filename, &raw)
	if lines == nil {
		return Users{}, r.errs.err()
	}
	c := check{report: r}
	list := make([]User, 0, len(raw.Users))
	seen := make(map[string]int, len(raw.Users))
	for _, u := range raw.Users {
		if line, twice := seen[u.Name.value]; twice && u.Name.isSet {
			c.at(u.Name.mark, "%q is already in line %d: remove one of them", u.Name.value, line)
		}
		seen[u.Name.value] = u.Name.line
		list = append(list, c.user(u))
	}
	if err := r.errs.err(); err != nil {
		return Users{}, err
	}
	return newUsers(list), nil
}

func (c check) user(raw rawUser) User {
	if raw.Name.isAbsent() {
		c.at(raw.mark, "the user has no name: add name = \"…\"")
	} else if err := CheckUserName(raw.Name.value); err != nil && raw.Name.isSet {
		c.at(raw.Name.mark, "%v", err)
	}
	return User{
		Name:           raw.Name.value,
		Hash:           c.hash(raw),
		Created:        c.created(raw),
		Serial:         c.number(raw.Serial, 1, 1, math.MaxInt32),
		MaxConnections: c.number(raw.MaxConnections, 0, 0, maxConnectionsLimit),
		Disabled:       raw.Disabled.value,
	}
}

// hash reads "sha256:HEX". The value is not shown: it may be the token itself.
func (c check) hash(raw rawUser) (sum [32]byte) {
	const want = `"sha256:" and the 64 hexadecimal digits of the token's SHA-256`
	if raw.Hash.isAbsent() {
		c.at(raw.mark, "the user has no hash: it is %s, as `mpproxy-server user add` writes it", want)
		return sum
	}
	if !raw.Hash.isSet {
		return sum
	}
	digits, ok := strings.CutPrefix(raw.Hash.value, "sha256:")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != len(sum) || [32]byte(b) == sum {
		c.at(raw.Hash.mark, "is not a hash: it must be %s, as `mpproxy-server user add` writes it", want)
		return sum
	}
	return [32]byte(b)
}

func (c check) created(raw rawUser) time.Time {
	if raw.Created.isAbsent() {
		c.at(raw.mark, "the user has no created: add the time of creation, such as created = 2026-01-31T12:00:00Z")
		return time.Time{}
	}
	if !raw.Created.isSet {
		return time.Time{}
	}
	t := raw.Created.value
	if name := t.Location().String(); strings.HasSuffix(name, "-local") { // toml's marks for times without zone
		c.at(raw.Created.mark, "has no time zone: write a date and time such as 2026-01-31T12:00:00Z")
	} else if t = t.UTC().Truncate(time.Second); t.Year() < 1970 || t.Year() > 9998 {
		c.at(raw.Created.mark, "the year %d is out of range: allowed is 1970 to 9998", t.Year())
	}
	return t
}

// Encode returns the text of a users file; ParseUsers reads it back.
func (us Users) Encode() []byte {
	var w tomlWriter
	w.comment("The users of mpproxy-server. Written by `mpproxy-server user add` and `remove`;",
		"edits by hand are welcome and take effect at once. It holds hashes, not tokens.")
	for _, u := range us.list {
		w.tables("user")
		w.str("name", u.Name)
		w.str("hash", "sha256:"+hex.EncodeToString(u.Hash[:]))
		w.raw("created", u.Created.UTC().Format(time.RFC3339))
		w.num("serial", u.Serial)
		if u.MaxConnections != 0 {
			w.num("max_connections", u.MaxConnections)
		}
		if u.Disabled {
			w.bool("disabled", true)
		}
	}
	return w.bytes()
}
