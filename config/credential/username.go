package credential

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxUserName is the longest user name in bytes: with "+" and the longest mode
// behind it, it must fit the 255 bytes of RFC 1929 §2.
const MaxUserName = 255 - len("+interactive")

// CheckUserName says what is wrong with a user name, if anything. Names have 1
// to MaxUserName bytes of UTF-8 without '+' (it separates the mode), ':' (it
// separates the token in a link), control characters or space at either end.
func CheckUserName(name string) error {
	switch {
	case name == "":
		return errors.New("a user name must not be empty")
	case len(name) > MaxUserName:
		return fmt.Errorf("the user name has %d bytes: at most %d are allowed", len(name), MaxUserName)
	case !utf8.ValidString(name):
		return fmt.Errorf("the user name %q is not valid UTF-8", name)
	case strings.ContainsAny(name, "+:"):
		return fmt.Errorf("the user name %q must not contain '+' (it separates the mode) or ':' (it separates the token)", name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("the user name %q must not contain control characters", name)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("the user name %q must not begin or end with space", name)
	}
	return nil
}

// SplitUserMode takes "alice+handover" apart into "alice" and "handover". Without
// '+' the mode is empty. Neither part is checked: policy.ParseMode knows modes,
// CheckUserName names.
func SplitUserMode(s string) (user, mode string) {
	if i := strings.LastIndexByte(s, '+'); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

// JoinUserMode is the inverse of SplitUserMode: "alice" and "handover" give
// "alice+handover"; an empty mode gives the user alone.
func JoinUserMode(user, mode string) string {
	if mode == "" {
		return user
	}
	return user + "+" + mode
}
