package proxy

import (
	"crypto/sha256"
	"encoding/base64"
)

// Pin is the SHA-256 of a concentrator's SubjectPublicKeyInfo: the client trusts
// that key and no other, and needs no certificate authority.
type Pin [sha256.Size]byte

// String returns the pin in base64url without padding (RFC 4648 §5).
func (p Pin) String() string { return base64.RawURLEncoding.EncodeToString(p[:]) }
