package joinlink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"mpproxy/config/configtest"
	"mpproxy/config/credential"
	"mpproxy/proxy"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	plain := Link{User: "alice", Token: credential.NewSecret("Tok-en_1"), Host: "proxy.example.net", Port: 8443, Security: SecurityTLS, Pin: configtest.PinBytes}
	with := func(change func(*Link)) Link { l := plain; change(&l); return l }
	for _, tt := range []struct {
		name, in string
		want     Link
		url      string // empty: the same as in
	}{
		{"plain", configtest.Link, plain, ""},
		{"name", configtest.Link + "#my%20home%20%23", with(func(l *Link) { l.Name = "my home #" }), "mpproxy://alice:Tok-en_1@proxy.example.net:8443?pin=" + configtest.Pin + "#my%20home%20%23"},
		{"IPv4", strings.Replace(configtest.Link, "proxy.example.net", "192.0.2.1", 1), with(func(l *Link) { l.Host = "192.0.2.1" }), ""},
		{"IPv6", strings.Replace(configtest.Link, "proxy.example.net", "[2001:db8::1]", 1), with(func(l *Link) { l.Host = "2001:db8::1" }), ""},
		{"zone", strings.Replace(configtest.Link, "proxy.example.net", "[fe80::1%25eth0]", 1), with(func(l *Link) { l.Host = "fe80::1%eth0" }), ""},
		{"escapes", "mpproxy://al%40ice:%2F%3f%C3%A9@proxy.example.net:8443?pin=" + configtest.Pin, with(func(l *Link) { l.User = "al@ice"; l.Token = credential.NewSecret("/?é") }), "mpproxy://al%40ice:%2F%3F%C3%A9@proxy.example.net:8443?pin=" + configtest.Pin},
		{"padding", configtest.Link + "=", plain, configtest.Link},
		{"escaped padding", configtest.Link + "%3D", plain, configtest.Link},
		{"pasted", "\n  \"" + configtest.Link[:30] + "\r\n   " + configtest.Link[30:] + "\" ", plain, configtest.Link},
		{"case and slash", strings.Replace(strings.Replace(configtest.Link, "mpproxy", "MPproxy", 1), "proxy.example.net:8443?", "Proxy.Example.NET:8443/?", 1), plain, configtest.Link},
		{"security tls", configtest.Link + "&security=tls", plain, configtest.Link},
		{"without TLS", "mpproxy://alice:Tok-en_1@proxy.example.net:8443?security=none", with(func(l *Link) { l.Security = SecurityNone; l.Pin = proxy.Pin{} }), ""},
		{"without user", "mpproxy://192.0.2.1:1080?security=none", Link{Host: "192.0.2.1", Port: 1080, Security: SecurityNone}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || got != tt.want {
				t.Error(diff)
			}
			if tt.url == "" {
				tt.url = tt.in
			}
			if got.URL() != tt.url {
				t.Errorf("URL is\n%s, want\n%s", got.URL(), tt.url)
			}
		})
	}
}

func TestLinkMistakes(t *testing.T) {
	const at = "mpproxy://alice:Tok-en_1@"
	for _, tt := range []struct{ in, want string }{
		{"", "link: is empty: paste the mpproxy:// link that `mpproxy-server user link NAME` prints"},
		{"alice:Tok-en_1@proxy.example.net:8443", "scheme: is missing: a link starts with mpproxy:// and looks like mpproxy://USER:TOKEN@HOST:PORT?pin=…"},
		{"https://example.net", "scheme: a link starts with mpproxy://, this one with https://"},
		{"mpproxy://alice:Tok-en_1", "host: the port must be a number from 1 to 65535"},
		{"mpproxy://alice:Tok-en_1@proxy.exa", "host: the port is missing: write HOST:PORT"},
		{at + "h:0?pin=" + configtest.Pin, "host: the port must be a number from 1 to 65535"},
		{at + "h:65536?pin=" + configtest.Pin, "host: the port must be a number from 1 to 65535"},
		{at + "2001:db8::1:8443?pin=" + configtest.Pin, "host: too many colons: an IPv6 address stands in brackets, as in [2001:db8::1]:8443"},
		{at + "[2001:db8::1:8443?pin=" + configtest.Pin, "host: the bracket '[' is not closed"},
		{at + "[192.0.2.1]:8443?pin=" + configtest.Pin, "host: what stands in brackets must be an IPv6 address"},
		{at + "192.0.2.256:8443?pin=" + configtest.Pin, "host: the host looks like an IPv4 address but is none: write four numbers from 0 to 255"},
		{at + "h_ö:8443?pin=" + configtest.Pin, "host: the host must be a DNS name (letters, digits, '-' and dots; international names in their xn-- form) or an IP address"},
		{at + "h:8443", "pin: is missing: a link has ?pin=… with the SHA-256 of the server's key, or ?security=none for a leg without TLS; perhaps its end was cut off when it was copied"},
		{at + "h:8443?pin=", "pin: has no value"},
		{at + "h:8443?pin=AAEC", "pin: must be the 43 base64url characters of a SHA-256, but has 4: perhaps the link was cut off when it was copied"},
		{at + "h:8443?pin=!" + configtest.Pin[1:], "pin: is not base64url (letters, digits, '-' and '_')"},
		{at + "h:8443?pin=" + configtest.Pin[:42] + "9", "pin: is not base64url (letters, digits, '-' and '_')"},
		{at + "h:8443?pin=" + configtest.Pin + "&pin=" + configtest.Pin, "pin: is given twice"},
		{at + "h:8443?security=none&pin=" + configtest.Pin, "security: none and a pin contradict each other: leave out the pin (no TLS) or security=none (TLS)"},
		{at + "h:8443?security=ssl", `security: must be "tls" or "none"`},
		{at + "h:8443?pim=" + configtest.Pin, `parameter: there is an unknown one behind the '?'; known are pin and security; did you mean "pin"?`},
		{at + "h:8443?colour=blue", "parameter: there is an unknown one behind the '?'; known are pin and security"},
		{"mpproxy://:Tok-en_1@h:8443?pin=" + configtest.Pin, "user: is missing before the token: write USER:TOKEN@HOST:PORT"},
		{"mpproxy://@h:8443?security=none", "user: is missing before the '@': write USER:TOKEN@HOST:PORT, or leave the '@' out with security=none"},
		{"mpproxy://h:8443?pin=" + configtest.Pin, "user: is missing: a link with a pin has USER:TOKEN@ before the host (only security=none goes without)"},
		{"mpproxy://alice@h:8443?pin=" + configtest.Pin, "token: is missing: write USER:TOKEN@HOST:PORT"},
		{"mpproxy://alice:@h:8443?pin=" + configtest.Pin, "token: is missing: write USER:TOKEN@HOST:PORT"},
		{"mpproxy://a%2Bb:Tok-en_1@h:8443?pin=" + configtest.Pin, "user: must have 1 to 243 bytes without '+', ':', control characters or space at either end"},
		{"mpproxy://alice:Tok-en_1%zz@h:8443?pin=" + configtest.Pin, "token: has a '%' that is not followed by two hexadecimal digits"},
		{"mpproxy://alice:Tok-en_1%ff@h:8443?pin=" + configtest.Pin, "token: is not valid UTF-8"},
		{"mpproxy://alice:" + strings.Repeat("x", 256) + "@h:8443?pin=" + configtest.Pin, "token: is longer than 255 bytes"},
		{"mpproxy://alice:To?k-en_1@h:8443?pin=" + configtest.Pin, "link: has a '/', '?' or '#' before the host: in user and token they are written %2F, %3F, %23"},
		{"mpproxy://alice:Tok-en_1@h:84 43?pin=" + configtest.Pin, "link: has a space or control character inside: copy it again, as one piece"},
		{configtest.Link + "#%00", "name: must have at most 255 bytes and no control characters"},
	} {
		l, err := Parse(tt.in)
		if err == nil {
			t.Errorf("%s: accepted as %v", tt.in, l)
			continue
		}
		if err.Error() != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.in, err, tt.want)
		}
	}
}

func TestLinkNeverShowsItsToken(t *testing.T) {
	l, err := Parse(configtest.Link)
	if err != nil {
		t.Fatal(err)
	}
	hidden := struct {
		inner  Link
		secret credential.Secret
		Outer  *Link
	}{l, l.Token, &l}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, v := range []any{l, &l, l.Token, &l.Token, []Link{l}, map[string]Link{"k": l}, hidden, &hidden} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("m", "link", l, "pointer", &l, "secret", l.Token, "any", []Link{l}, "hidden", hidden)
	}
	if err := json.NewEncoder(&out).Encode(map[string]any{"l": l, "t": l.Token}); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"Tok-en_1", fmt.Sprintf("%x", "Tok-en_1"), fmt.Sprintf("%X", "Tok-en_1"), "[84 111 107"} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the token shows as %q in:\n%s", form, out.String())
		}
	}
	if want := "mpproxy://alice:REDACTED@proxy.example.net:8443?pin=" + configtest.Pin; l.String() != want || l.Redacted() != want {
		t.Errorf("String is %s, Redacted %s, want %s", l.String(), l.Redacted(), want)
	}
	if l.Token.Reveal() != "Tok-en_1" || !l.Token.Equal(credential.NewSecret("Tok-en_1")) || l.Token.Equal(credential.Secret{}) {
		t.Error("the token itself is wrong")
	}
}

// No error repeats a piece of the token, wherever the link is damaged.
func TestLinkErrorsNeverShowTheToken(t *testing.T) {
	const token = "ZqXvWkJyZqXvWkJy"
	link := "mpproxy://alice:" + token + "@proxy.example.net:8443?pin=" + configtest.Pin + "#home"
	check := func(damaged string) {
		if _, err := Parse(damaged); err != nil {
			for i := range len(token) - 3 {
				if strings.Contains(err.Error(), token[i:i+4]) {
					t.Errorf("Parse(%q) shows the token: %v", damaged, err)
					return
				}
			}
		}
	}
	for i := range link {
		check(link[:i])
		check(link[i:])
		for _, c := range []string{"", "?", "#", "/", "@", ":", "%", " ", "&", "=", "[", "]", "\x00", "?x=", "://"} {
			check(link[:i] + c + link[i:])
			check(link[:i] + c + link[i+1:])
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{configtest.Link, configtest.Link + "#my%20home", "mpproxy://h:1?security=none", "mpproxy://al%40ice:%2F%3f@[fe80::1%25eth0]:8443?pin=" + configtest.Pin + "=", "'" + configtest.Link + "'\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := Parse(s)
		if err != nil {
			var le *Error
			if !errors.As(err, &le) || l != (Link{}) {
				t.Fatalf("%v with %T", l, err)
			}
			return
		}
		again, err := Parse(l.URL())
		if err != nil || again != l || again.URL() != l.URL() {
			t.Fatalf("%q gives %q, which gives %q, %v", s, l.URL(), again.URL(), err)
		}
		if _, err := Parse(l.Redacted()); err != nil {
			t.Fatalf("redacted %q: %v", l.Redacted(), err)
		}
	})
}
