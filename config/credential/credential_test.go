package credential

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpproxy/config/tomlfile"
	"mpproxy/pathctl/policy"
)

// keyText is the key of the bytes 0 to 31.
const keyText = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

// wantToken is the token of alice, serial 1, under the key 00 01 … 1f.
const wantToken = "XrR9rWkWREUdPJ2kWsWuKS2y"

func TestTokens(t *testing.T) {
	key, err := ParseTokenKey([]byte(tokenKeyPrefix + keyText + "\n"))
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
	if err := tomlfile.WritePrivate(file, key.Encode()); err != nil {
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
	for _, bad := range []string{"", "x", tokenKeyPrefix, tokenKeyPrefix + keyText[1:], tokenKeyPrefix + keyText + "A"} {
		if _, err := ParseTokenKey([]byte(bad)); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
	if shown := fmt.Sprintf("%v %+v %#v %+v", key, &key, key, struct{ k TokenKey }{key}); strings.Contains(shown, strings.TrimSpace(string(key.Encode()[len(tokenKeyPrefix):]))) {
		t.Errorf("the key shows: %s", shown)
	}
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

func FuzzParseTokenKey(f *testing.F) {
	f.Add([]byte(tokenKeyPrefix + keyText + "\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := ParseTokenKey(data)
		if err != nil {
			return
		}
		if again, err := ParseTokenKey(k.Encode()); err != nil || again != k {
			t.Fatal(err)
		}
	})
}
