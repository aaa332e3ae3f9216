package tomlfile

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Span is the legal range of a duration.
type Span struct {
	Min, Max time.Duration
	OffAt0   bool // "0" switches the timeout off
}

func (s Span) String() string {
	text := fmt.Sprintf("%s to %s", formatDuration(s.Min), formatDuration(s.Max))
	if s.OffAt0 {
		text += `, or "0" for none`
	}
	return text
}

// check turns fields into values and reports what is out of range. Each method
// returns the default when the key is absent or wrong.
type Checker struct{ *Report }

func (c Checker) Duration(f Field[string], otherwise time.Duration, legal Span) time.Duration {
	if !f.IsSet {
		return otherwise
	}
	d, err := time.ParseDuration(f.Value)
	switch {
	case err != nil:
		c.At(f.Mark, "%q is not a duration: write a number and a unit (ms, s, m, h), such as \"500ms\" or \"1m30s\"; allowed is %s", f.Value, legal)
	case d == 0 && legal.OffAt0:
		return 0
	case d < legal.Min || d > legal.Max:
		c.At(f.Mark, "%q is out of range: allowed is %s", f.Value, legal)
	default:
		return d
	}
	return otherwise
}

func (c Checker) Number(f Field[int64], otherwise, least, most int) int {
	if !f.IsSet {
		return otherwise
	}
	if f.Value < int64(least) || f.Value > int64(most) {
		c.At(f.Mark, "%d is out of range: allowed is %d to %d", f.Value, least, most)
		return otherwise
	}
	return int(f.Value)
}

func (c Checker) Size(f Field[string], otherwise, least, most Size) Size {
	if !f.IsSet {
		return otherwise
	}
	n, err := ParseSize(f.Value)
	switch {
	case err != nil:
		c.At(f.Mark, "%v; allowed is %v to %v, or \"0\" for the kernel's own choice", err, least, most)
	case n != 0 && (n < least || n > most):
		c.At(f.Mark, "%q is out of range: allowed is %v to %v, or \"0\" for the kernel's own choice", f.Value, least, most)
	default:
		return n
	}
	return otherwise
}

// OneOf accepts the listed words only.
func OneOf[T ~string](c Checker, f Field[string], otherwise T, allowed ...T) T {
	if !f.IsSet || slices.Contains(allowed, T(f.Value)) {
		return T(f.Or(string(otherwise)))
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	c.At(f.Mark, "%q is not allowed here: use %s%s", f.Value, QuotedList(words), DidYouMean(f.Value, words))
	return otherwise
}

// formatDuration writes what time.ParseDuration reads, without the zero units
// of Duration.String: "2h4m", not "2h4m0s".
func formatDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-len("0s")]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-len("0m")]
	}
	return s
}
