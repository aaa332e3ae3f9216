// Package configtest is what the tests of the rooms of config share: tables of texts with
// the exact errors that they must give.
package configtest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/config/tomlfile"
)

// Link is a good link, Pin the pin in it.
const (
	Link = "mpproxy://alice:Tok-en_1@proxy.example.net:8443?pin=" + Pin
	Pin  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
)

// PinBytes are the bytes of Pin.
var PinBytes = [32]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31}

// A Mistake is a text that must be refused with these errors, one a line.
type Mistake struct {
	Name, Text string
	Want       []string
}

// Refuses parses each text of the table and compares the errors.
func Refuses(t *testing.T, parse func([]byte, string) error, table []Mistake) {
	t.Helper()
	for _, tt := range table {
		t.Run(tt.Name, func(t *testing.T) {
			t.Helper()
			err := parse([]byte(tt.Text), "f.toml")
			if err == nil {
				t.Fatalf("accepted, want error:\n%s", strings.Join(tt.Want, "\n"))
			}
			if diff := cmp.Diff(tt.Want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if _, ok := errors.AsType[*tomlfile.Error](err); !ok {
				t.Errorf("no *Error in %T", err)
			}
		})
	}
}

// Problem says what is wrong with an error of a parser of f.toml, empty: nothing. It must
// be tomlfile.Errors, name the file and point at lines that exist.
func Problem(err error, text []byte) string {
	var es tomlfile.Errors
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
