package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzParseLink(f *testing.F) {
	for _, s := range []string{testLink, testLink + "#my%20home", "mpproxy://h:1?security=none", "mpproxy://al%40ice:%2F%3f@[fe80::1%25eth0]:8443?pin=" + testPin + "=", "'" + testLink + "'\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLink(s)
		if err != nil {
			var le *LinkError
			if !errors.As(err, &le) || l != (Link{}) {
				t.Fatalf("%v with %T", l, err)
			}
			return
		}
		again, err := ParseLink(l.URL())
		if err != nil || again != l || again.URL() != l.URL() {
			t.Fatalf("%q gives %q, which gives %q, %v", s, l.URL(), again.URL(), err)
		}
		if _, err := ParseLink(l.Redacted()); err != nil {
			t.Fatalf("redacted %q: %v", l.Redacted(), err)
		}
		if c, err := ParseClient(ClientTOML(l), "client.toml"); err != nil || c.Link != l {
			t.Fatalf("as a file: %v, %v", c.Link, err)
		}
	})
}

// reports says what is wrong with an error of a parser: it must be Errors, name
// the file and point at lines that exist.
func reports(err error, text []byte) string {
	var es Errors
	if !errors.As(err, &es) || len(es) == 0 {
		return "the error is not Errors"
	}
	for _, e := range es {
		if e.File != "f.toml" || e.Message == "" || e.Line < 0 || e.Line > strings.Count(string(text), "\n")+1 {
			return "bad error: " + e.Error()
		}
		if e.Line == 0 && e.Key != "" {
			return "no line: " + e.Error()
		}
	}
	return ""
}

func FuzzParseClient(f *testing.F) {
	f.Add([]byte(fullClient))
	f.Add([]byte(ReferenceClient()))
	f.Add([]byte(someModes))
	f.Add([]byte(someRules))
	for _, m := range clientMistakes {
		f.Add([]byte(m.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseClient(text, "f.toml")
		if err != nil {
			if problem := reports(err, text); problem != "" {
				t.Fatal(problem)
			}
			return
		}
		again, err := ParseClient(c.encode(Link.URL, Secret.Reveal), "f.toml")
		if diff := cmp.Diff(c, again, equal); diff != "" || err != nil {
			t.Fatalf("printed and parsed again: %v\n%s", err, diff)
		}
	})
}

func FuzzParseServer(f *testing.F) {
	f.Add([]byte(fullServer))
	f.Add([]byte(ReferenceServer()))
	for _, m := range serverMistakes {
		f.Add([]byte(m.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseServer(text, "f.toml")
		if err != nil {
			if problem := reports(err, text); problem != "" {
				t.Fatal(problem)
			}
			return
		}
		again, err := ParseServer(s.encode(), "f.toml")
		s.Warnings, again.Warnings = nil, nil // about keys that have no effect and are not printed
		if s.Security == SecurityNone {
			s.Certificate, s.Key = again.Certificate, again.Key
		}
		if diff := cmp.Diff(s, again, equal); diff != "" || err != nil {
			t.Fatalf("printed and parsed again: %v\n%s", err, diff)
		}
	})
}

func FuzzParseUsers(f *testing.F) {
	f.Add(mustUsers(f, testUser("alice"), testUser("Zoë \"\\")).Encode())
	for _, m := range usersMistakes {
		f.Add([]byte(m.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		us, err := ParseUsers(text, "f.toml")
		if err != nil {
			if problem := reports(err, text); problem != "" {
				t.Fatal(problem)
			}
			return
		}
		again, err := ParseUsers(us.Encode(), "f.toml")
		if diff := cmp.Diff(us, again, equal); diff != "" || err != nil {
			t.Fatalf("printed and parsed again: %v\n%s", err, diff)
		}
	})
}

func FuzzParseTokenKey(f *testing.F) {
	f.Add([]byte(tokenKeyPrefix + testPin + "\n"))
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

// Flags reach these.
func FuzzParseFlags(f *testing.F) {
	for _, s := range []string{"127.0.0.1:1080", ":8443", "[::]:1", "proxy.example.net:8443", "wwan0:metered", "eth[0-9]*", "10.0.0.0/8", "8MiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if hp, err := ParseHostPort(s); err == nil {
			if again, err := ParseHostPort(hp.String()); err != nil || again != hp {
				t.Fatalf("%q: %v, then %v, %v", s, hp, again, err)
			}
		}
		if ap, err := ParseListen(s); err == nil {
			if again, err := ParseListen(ap.String()); err != nil || again != ap {
				t.Fatalf("%q: %v, then %v, %v", s, ap, again, err)
			}
		}
		if p, err := ParsePrefix(s); err == nil {
			if again, err := ParsePrefix(p.String()); err != nil || again != p {
				t.Fatalf("%q: %v, then %v, %v", s, p, again, err)
			}
		}
		if p, err := ParsePath(s); err == nil && (p.Interface == "" || p.Rank != 0) {
			t.Fatalf("%q: %+v", s, p)
		}
	})
}
