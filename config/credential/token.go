package credential

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"unique"

	"mpproxy/config/tomlfile"
)

// TokenKey is the server's secret from which users' tokens are derived, so that
// a link can be printed again without storing its token. Printing it shows
// nothing.
type TokenKey struct {
	key unique.Handle[[32]byte] // behind a handle for the reason that Secret gives
}

// NewTokenKey makes a random key.
func NewTokenKey() (TokenKey, error) {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		return TokenKey{}, fmt.Errorf("making a token key: %w", err)
	}
	return TokenKey{unique.Make(b)}, nil
}

// String keeps the key out of logs.
func (TokenKey) String() string { return redacted }

// GoString keeps the key out of %#v.
func (TokenKey) GoString() string { return redacted }

// LogValue keeps the key out of logs.
func (TokenKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// tokenKeyPrefix makes a key file recognizable, and its format versioned.
const tokenKeyPrefix = "mpproxy-token-key-v1:"

// Encode returns the text of a key file, for WritePrivate.
func (k TokenKey) Encode() []byte {
	b := k.key.Value()
	return []byte(tokenKeyPrefix + base64.RawURLEncoding.EncodeToString(b[:]) + "\n")
}

// ParseTokenKey reads what Encode wrote. Its errors do not show the text.
func ParseTokenKey(data []byte) (TokenKey, error) {
	text, ok := bytes.CutPrefix(bytes.TrimSpace(data), []byte(tokenKeyPrefix))
	if !ok {
		return TokenKey{}, fmt.Errorf("is no token key: the file starts with %q", tokenKeyPrefix)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(string(text))
	if err != nil || len(raw) != 32 {
		return TokenKey{}, fmt.Errorf("is damaged: 43 base64url characters must follow %q", tokenKeyPrefix)
	}
	return TokenKey{unique.Make([32]byte(raw))}, nil
}

// LoadTokenKey reads a key file. One that everybody can read, or that its group
// can change, is refused: whoever knows the key can make each user's token.
func LoadTokenKey(path string) (TokenKey, error) {
	data, info, err := tomlfile.ReadFile(path, 4096)
	if err != nil {
		return TokenKey{}, err
	}
	if mode := info.Mode().Perm(); mode&0o027 != 0 {
		return TokenKey{}, fmt.Errorf("token key %s is open to other users (mode %04o): chmod 600 %s, and make a new key if somebody else could have read it: %w", path, mode, path, os.ErrPermission)
	}
	k, err := ParseTokenKey(data)
	if err != nil {
		return TokenKey{}, fmt.Errorf("token key %s %w", path, err)
	}
	return k, nil
}

// tokenBytes of the HMAC make a token: 144 bits, 24 characters without padding.
const tokenBytes = 18

// Token derives a user's token of one generation: base64url of the first 144
// bits of HMAC-SHA256(key, "mpproxy token v1" 0 name 0 serial), serial in eight
// bytes, big-endian.
func Token(key TokenKey, name string, serial int) Secret {
	k := key.key.Value()
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte("mpproxy token v1\x00" + name + "\x00"))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(serial)))
	return NewSecret(base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:tokenBytes]))
}

// HashToken returns what the users file holds of a token. Plain SHA-256 is
// enough, because tokens are random, not chosen by people.
func HashToken(token Secret) [32]byte { return sha256.Sum256([]byte(token.Reveal())) }
