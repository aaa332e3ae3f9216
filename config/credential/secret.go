package credential

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"unique"
)

// redacted stands for a secret wherever one would be shown.
const redacted = "REDACTED"

// Secret is a token or a password. No verb of fmt, no slog handler and no
// encoder shows it; only Reveal does. Secrets compare with ==.
//
// The text is behind a handle, not in the struct, because fmt prints unexported
// fields of structs without asking their methods.
type Secret struct {
	text unique.Handle[string]
}

// NewSecret wraps a text; the empty text gives the zero Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{unique.Make(text)}
}

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.text.Value()
}

// IsZero says whether there is no secret.
func (s Secret) IsZero() bool { return s == Secret{} }

// Equal compares in constant time, whatever the lengths.
func (s Secret) Equal(other Secret) bool {
	a, b := sha256.Sum256([]byte(s.Reveal())), sha256.Sum256([]byte(other.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// String returns "REDACTED", or "" when there is no secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// Format shows the same as String for every verb and flag.
func (s Secret) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, s.String()) }

// LogValue keeps the secret out of logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps the secret out of JSON and other encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
