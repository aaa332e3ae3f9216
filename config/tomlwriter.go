package config

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// tomlWriter writes the little TOML that our files need.
type tomlWriter struct {
	buf bytes.Buffer
}

func (w *tomlWriter) bytes() []byte { return w.buf.Bytes() }

func (w *tomlWriter) comment(lines ...string) {
	for _, l := range lines {
		fmt.Fprintf(&w.buf, "# %s\n", l)
	}
}

func (w *tomlWriter) raw(key, value string)     { fmt.Fprintf(&w.buf, "%s = %s\n", key, value) }
func (w *tomlWriter) str(key, value string)     { w.raw(key, quote(value)) }
func (w *tomlWriter) num(key string, value int) { w.raw(key, strconv.Itoa(value)) }
func (w *tomlWriter) bool(key string, v bool)   { w.raw(key, strconv.FormatBool(v)) }
func (w *tomlWriter) table(name string)         { fmt.Fprintf(&w.buf, "\n[%s]\n", name) }
func (w *tomlWriter) tables(name string)        { fmt.Fprintf(&w.buf, "\n[[%s]]\n", name) }

// quote writes a TOML basic string (toml.io v1.0.0, "String").
func quote(s string) string {
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

// quoteList writes ["a", "b"].
func quoteList[T fmt.Stringer](list []T) string {
	items := make([]string, len(list))
	for i, v := range list {
		items[i] = quote(v.String())
	}
	return "[" + strings.Join(items, ", ") + "]"
}
