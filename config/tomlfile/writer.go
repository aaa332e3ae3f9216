package tomlfile

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Writer writes the little TOML that our files need.
type Writer struct {
	buf bytes.Buffer
}

func (w *Writer) Bytes() []byte { return w.buf.Bytes() }

func (w *Writer) Comment(lines ...string) {
	for _, l := range lines {
		fmt.Fprintf(&w.buf, "# %s\n", l)
	}
}

func (w *Writer) Raw(key, value string)     { fmt.Fprintf(&w.buf, "%s = %s\n", key, value) }
func (w *Writer) Str(key, value string)     { w.Raw(key, Quote(value)) }
func (w *Writer) Num(key string, value int) { w.Raw(key, strconv.Itoa(value)) }
func (w *Writer) Bool(key string, v bool)   { w.Raw(key, strconv.FormatBool(v)) }
func (w *Writer) Table(name string)         { fmt.Fprintf(&w.buf, "\n[%s]\n", name) }
func (w *Writer) Tables(name string)        { fmt.Fprintf(&w.buf, "\n[[%s]]\n", name) }

// Quote writes a TOML basic string (toml.io v1.0.0, "String").
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsControl(r):
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// QuoteList writes ["a", "b"].
func QuoteList[T fmt.Stringer](list []T) string {
	items := make([]string, len(list))
	for i, v := range list {
		items[i] = Quote(v.String())
	}
	return "[" + strings.Join(items, ", ") + "]"
}

func (w *Writer) Duration(key string, d time.Duration) { w.Str(key, formatDuration(d)) }

func (w *Writer) Size(key string, s Size) {
	if s == 0 {
		w.Str(key, "0")
		return
	}
	w.Str(key, s.String())
}
