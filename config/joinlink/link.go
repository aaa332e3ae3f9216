package joinlink

import (
	"encoding/base64"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"mpproxy/config/credential"
	"mpproxy/config/tomlfile"
	"mpproxy/proxy"
)

// Security is how the leg between client and concentrator is protected.
type Security string

// The kinds of protection.
const (
	SecurityTLS  Security = "tls"  // TLS 1.3, the server's key pinned
	SecurityNone Security = "none" // SOCKS5 in the clear, for access networks that are private already
)

// Link is a parsed mpproxy:// link. Links compare with ==. Printing one never
// shows the token; URL does. The zero Link means "no link".
type Link struct {
	User     string            // empty only with SecurityNone
	Token    credential.Secret // 1 to 255 bytes where there is a user (RFC 1929 §2), else zero
	Host     string            // DNS name in lower case, IPv4 address, or IPv6 address without brackets
	Port     uint16            // 1 to 65535
	Security Security          // SecurityTLS or SecurityNone
	Pin      proxy.Pin         // with SecurityTLS; zero otherwise
	Name     string            // what a person calls this server; may be empty
}

// IsZero says whether there is no link.
func (l Link) IsZero() bool { return l == Link{} }

// HostPort returns "host:port" as net.Dial takes it.
func (l Link) HostPort() string { return net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port))) }

// URL returns the whole link, token included: for its user's eyes and for files
// that only the owner reads. Parse of it gives the same Link.
func (l Link) URL() string { return l.url(l.Token.Reveal()) }

// Redacted returns the link with REDACTED in the token's place.
func (l Link) Redacted() string { return l.url(l.Token.String()) }

// String is Redacted, so that nothing prints a token by accident.
func (l Link) String() string { return l.Redacted() }

// GoString is Redacted for %#v.
func (l Link) GoString() string { return l.Redacted() }

// LogValue is Redacted for slog.
func (l Link) LogValue() slog.Value { return slog.StringValue(l.Redacted()) }

// MarshalText is Redacted for JSON and other encodings.
func (l Link) MarshalText() ([]byte, error) { return []byte(l.Redacted()), nil }

func (l Link) url(token string) string {
	if l.IsZero() {
		return ""
	}
	var b strings.Builder
	b.WriteString(linkScheme)
	if l.User != "" {
		b.WriteString(escape(l.User) + ":" + escape(token) + "@")
	}
	if l.Security == SecurityNone {
		b.WriteString(strings.ReplaceAll(l.HostPort(), "%", "%25") + "?security=none")
	} else {
		b.WriteString(strings.ReplaceAll(l.HostPort(), "%", "%25") + "?pin=" + l.Pin.String())
	}
	if l.Name != "" {
		b.WriteString("#" + escape(l.Name))
	}
	return b.String()
}

// escape percent-encodes all but RFC 3986's unreserved characters, so that a
// link survives shells, chats and mail programs.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

const linkScheme = "mpproxy://"

// Error says what is wrong with which part of a link. Its text never holds
// a piece of the link that could belong to the token.
type Error struct {
	Part    string // scheme, user, token, host, pin, security, parameter, name or link
	Problem string
}

func (e *Error) Error() string { return e.Part + ": " + e.Problem }

// Parse reads mpproxy://USER:TOKEN@HOST:PORT?pin=PIN#NAME. It forgives what
// happens to links that are pasted: space and quotes around them, line breaks
// inside. Its errors are of type *Error.
func Parse(s string) (Link, error) {
	l, err := parseLink(unpaste(s))
	if err != nil {
		return Link{}, err
	}
	return *l, nil
}

// unpaste removes line breaks with the space around them, and what stands
// around a pasted link.
func unpaste(s string) string {
	var b strings.Builder
	for line := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
		b.WriteString(strings.TrimSpace(line))
	}
	return strings.TrimFunc(b.String(), func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune("\"'`<>“”‘’«»\uFEFF\u200B", r)
	})
}

func parseLink(s string) (*Link, error) {
	rest, err := cutScheme(s)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(rest, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return nil, &Error{"link", "has a space or control character inside: copy it again, as one piece"}
	}
	rest, fragment, _ := strings.Cut(rest, "#")
	authority, query, _ := strings.Cut(rest, "?")
	authority = strings.TrimSuffix(authority, "/")
	at := strings.LastIndexByte(authority, '@')
	if at < 0 && strings.Contains(query+fragment, "@") || strings.Contains(authority, "/") {
		return nil, &Error{"link", "has a '/', '?' or '#' before the host: in user and token they are written %2F, %3F, %23"}
	}
	l := &Link{}
	if at >= 0 {
		if err := l.setUser(authority[:at]); err != nil {
			return nil, err
		}
	}
	if err := l.setHost(authority[at+1:]); err != nil {
		return nil, err
	}
	if err := l.setQuery(query); err != nil {
		return nil, err
	}
	if l.User == "" && l.Security == SecurityTLS {
		return nil, &Error{"user", "is missing: a link with a pin has USER:TOKEN@ before the host (only security=none goes without)"}
	}
	return l, l.setName(fragment)
}

func cutScheme(s string) (string, error) {
	if s == "" {
		return "", &Error{"link", "is empty: paste the mpproxy:// link that `mpproxy-server user link NAME` prints"}
	}
	if len(s) >= len(linkScheme) && strings.EqualFold(s[:len(linkScheme)], linkScheme) {
		return s[len(linkScheme):], nil
	}
	if scheme, _, ok := strings.Cut(s, "://"); ok && len(scheme) <= 10 && strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+") == "" {
		return "", &Error{"scheme", "a link starts with mpproxy://, this one with " + scheme + "://"}
	}
	return "", &Error{"scheme", "is missing: a link starts with mpproxy:// and looks like mpproxy://USER:TOKEN@HOST:PORT?pin=…"}
}

func (l *Link) setUser(info string) error {
	user, token, ok := strings.Cut(info, ":")
	var err error
	if l.User, err = unescape("user", user); err != nil {
		return err
	}
	text, err := unescape("token", token)
	if err != nil {
		return err
	}
	switch {
	case l.User == "" && text != "":
		return &Error{"user", "is missing before the token: write USER:TOKEN@HOST:PORT"}
	case l.User == "":
		return &Error{"user", "is missing before the '@': write USER:TOKEN@HOST:PORT, or leave the '@' out with security=none"}
	case !ok || text == "":
		return &Error{"token", "is missing: write USER:TOKEN@HOST:PORT"}
	case len(text) > 255:
		return &Error{"token", "is longer than 255 bytes"}
	case credential.CheckUserName(l.User) != nil: // its text names the user, which may be a misplaced token
		return &Error{"user", "must have 1 to " + strconv.Itoa(credential.MaxUserName) + " bytes without '+', ':', control characters or space at either end"}
	}
	l.Token = credential.NewSecret(text)
	return nil
}

func (l *Link) setHost(s string) error {
	s = strings.ReplaceAll(s, "%25", "%") // RFC 6874: a zone's '%' is escaped
	hp, err := ParseHostPort(s)
	if err != nil {
		return &Error{"host", err.Error()}
	}
	if strings.ContainsFunc(hp.Host, func(r rune) bool {
		return r > unicode.MaxASCII || unicode.IsControl(r) || strings.ContainsRune("@/?#[]\"'<>`", r)
	}) || strings.Count(hp.Host, "%") > 1 {
		return &Error{"host", "the zone of an IPv6 address must be the name of an interface"}
	}
	l.Host, l.Port = hp.Host, hp.Port
	return nil
}

var linkParameters = []string{"pin", "security"}

func (l *Link) setQuery(query string) error {
	values := map[string]string{}
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, raw, _ := strings.Cut(part, "=")
		if name != "pin" && name != "security" {
			return unknownParameter(name)
		}
		if _, twice := values[name]; twice {
			return &Error{name, "is given twice"}
		}
		value, err := unescape(name, raw)
		if err != nil {
			return err
		}
		if value == "" {
			return &Error{name, "has no value"}
		}
		values[name] = value
	}
	return l.setSecurity(values["pin"], values["security"])
}

func unknownParameter(name string) error {
	// The name is not shown: a '?' in the token would make a piece of it the name.
	return &Error{"parameter", "there is an unknown one behind the '?'; known are pin and security" + tomlfile.DidYouMean(name, linkParameters)}
}

func (l *Link) setSecurity(pin, security string) error {
	switch {
	case security != "" && security != string(SecurityTLS) && security != string(SecurityNone):
		return &Error{"security", `must be "tls" or "none"`}
	case security == string(SecurityNone) && pin != "":
		return &Error{"security", "none and a pin contradict each other: leave out the pin (no TLS) or security=none (TLS)"}
	case security == string(SecurityNone):
		l.Security = SecurityNone
		return nil
	case pin == "":
		return &Error{"pin", "is missing: a link has ?pin=… with the SHA-256 of the server's key, or ?security=none for a leg without TLS; perhaps its end was cut off when it was copied"}
	}
	l.Security = SecurityTLS
	return setPin(&l.Pin, pin)
}

// setPin takes either alphabet of base64, with or without padding.
func setPin(p *proxy.Pin, s string) error {
	s = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(s, "="))
	sum, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil && len(s) == 43 {
		return &Error{"pin", "is not base64url (letters, digits, '-' and '_')"}
	}
	if err != nil || len(sum) != len(p) {
		return &Error{"pin", "must be the 43 base64url characters of a SHA-256, but has " + strconv.Itoa(len(s)) + ": perhaps the link was cut off when it was copied"}
	}
	copy(p[:], sum)
	return nil
}

func (l *Link) setName(fragment string) error {
	name, err := unescape("name", fragment)
	if err != nil {
		return err
	}
	if len(name) > 255 || strings.ContainsFunc(name, unicode.IsControl) {
		return &Error{"name", "must have at most 255 bytes and no control characters"}
	}
	l.Name = name
	return nil
}

// unescape decodes percent-encoding. url.PathUnescape's errors quote the input.
func unescape(part, s string) (string, error) {
	text, err := url.PathUnescape(s)
	if err != nil {
		return "", &Error{part, "has a '%' that is not followed by two hexadecimal digits"}
	}
	if !utf8.ValidString(text) {
		return "", &Error{part, "is not valid UTF-8"}
	}
	return text, nil
}
