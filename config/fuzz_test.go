package config

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/config/configtest"
	"mpproxy/config/credential"
	"mpproxy/config/joinlink"
)

// A file made with a link holds that link.
func FuzzLinkInFile(f *testing.F) {
	for _, s := range []string{configtest.Link, configtest.Link + "#my%20home", "mpproxy://h:1?security=none", "mpproxy://al%40ice:%2F%3f@[fe80::1%25eth0]:8443?pin=" + configtest.Pin + "="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := joinlink.Parse(s)
		if err != nil {
			return
		}
		if c, err := ParseClient(ClientTOML(l), "client.toml"); err != nil || c.Link != l {
			t.Fatalf("as a file: %v, %v", c.Link, err)
		}
	})
}

func FuzzParseClient(f *testing.F) {
	f.Add([]byte(fullClient))
	f.Add([]byte(ReferenceClient()))
	f.Add([]byte(someModes))
	f.Add([]byte(someRules))
	for _, m := range slices.Concat(textMistakes, clientMistakes) {
		f.Add([]byte(m.Text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseClient(text, "f.toml")
		if err != nil {
			if problem := configtest.Problem(err, text); problem != "" {
				t.Fatal(problem)
			}
			return
		}
		again, err := ParseClient(c.encode(joinlink.Link.URL, credential.Secret.Reveal), "f.toml")
		if diff := cmp.Diff(c, again, equal); diff != "" || err != nil {
			t.Fatalf("printed and parsed again: %v\n%s", err, diff)
		}
	})
}

func FuzzParseServer(f *testing.F) {
	f.Add([]byte(fullServer))
	f.Add([]byte(ReferenceServer()))
	for _, m := range serverMistakes {
		f.Add([]byte(m.Text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseServer(text, "f.toml")
		if err != nil {
			if problem := configtest.Problem(err, text); problem != "" {
				t.Fatal(problem)
			}
			return
		}
		again, err := ParseServer(s.encode(), "f.toml")
		s.Warnings, again.Warnings = nil, nil // about keys that have no effect and are not printed
		if s.Security == joinlink.SecurityNone {
			s.Certificate, s.Key = again.Certificate, again.Key
		}
		if diff := cmp.Diff(s, again, equal); diff != "" || err != nil {
			t.Fatalf("printed and parsed again: %v\n%s", err, diff)
		}
	})
}

// Flags reach these.
func FuzzParseFlags(f *testing.F) {
	for _, s := range []string{"127.0.0.1:1080", ":8443", "[::]:1", "proxy.example.net:8443", "wwan0:metered", "eth[0-9]*", "10.0.0.0/8", "8MiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if hp, err := joinlink.ParseHostPort(s); err == nil {
			if again, err := joinlink.ParseHostPort(hp.String()); err != nil || again != hp {
				t.Fatalf("%q: %v, then %v, %v", s, hp, again, err)
			}
		}
		if ap, err := joinlink.ParseListen(s); err == nil {
			if again, err := joinlink.ParseListen(ap.String()); err != nil || again != ap {
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
