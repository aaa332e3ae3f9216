package tomlfile

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/BurntSushi/toml"
)

// toml.Decode into a struct stops at the first wrong type, ignores the case of keys
// and knows no positions. So it parses into a map, and a Binding binds the map to the raw
// struct: every mistake of a file is reported, with its line. No unknown key is overlooked,
// because a Binding visits every key that the map has.

// Parse reads text into the raw struct that raw points to. It returns the mistakes so
// far, and false when the text is not TOML, so that there is nothing to check. other is
// whose file this one could be by mistake, zero: nobody's.
func Parse(text, file string, raw any, other Program) (r *Report, ok bool) {
	r = &Report{file: file}
	lines, err := indexLines(text)
	if err != nil {
		r.At(Mark{}, "%v: nothing in this file needs that", err)
		return r, false
	}
	tree := map[string]any{}
	if _, err := toml.Decode(text, &tree); err != nil {
		r.syntax(err, text)
		return r, false
	}
	b := Binding{Report: r, lines: lines, root: reflect.TypeOf(raw).Elem(), other: other}
	b.table(reflect.ValueOf(raw).Elem(), tree, "", "")
	return r, true
}

// syntax reports what the TOML parser says.
func (r *Report) syntax(err error, text string) {
	var pe toml.ParseError
	if !errors.As(err, &pe) {
		r.At(Mark{}, "is not valid TOML: %s", strings.TrimPrefix(err.Error(), "toml: "))
		return
	}
	r.At(Mark{Line: pe.Position.Line}, "is not valid TOML: %s", withoutValue(pe.Message, text, pe.Position.Line))
}

// withoutValue hides words of a parser's message that come from the value in the
// line it is about: that may be a token or a password without its quotes.
func withoutValue(message, text string, line int) string {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return message
	}
	_, value, _ := strings.Cut(lines[line-1], "=")
	words := strings.Fields(message)
	for i, w := range words {
		if bare := strings.Trim(w, `"'.,:;()`); len(bare) > 1 && strings.Contains(value, bare) {
			words[i] = strings.Replace(w, bare, "…", 1)
		}
	}
	message = strings.Join(words, " ")
	if v := strings.TrimSpace(value); v != "" && unicode.IsLetter(rune(v[0])) {
		message += "; text stands in quotes"
	}
	return message
}

// A Binding binds one text to a raw struct.
type Binding struct {
	*Report
	lines lineIndex
	root  reflect.Type
	other Program
}

// Child says where the key or table called name stands in a table, and returns the path of
// what is in it. path and key are the table's.
func (b *Binding) Child(path, key, name string) (at Mark, below string) {
	below = JoinKey(path, name)
	return Mark{JoinKey(key, name), b.lines[below]}, below
}

// table binds m to the raw struct v. path has array indices and is for finding
// lines, key has none and is for people.
func (b *Binding) table(v reflect.Value, m map[string]any, path, key string) {
	fields := fieldsOf(v)
	for _, name := range SortedKeys(m) {
		at, below := b.Child(path, key, name)
		if f, ok := fields[name]; ok {
			b.entry(f, m[name], below, at)
		} else {
			b.unknown(at, name, m[name], fields)
		}
	}
}

func (b *Binding) entry(f rawField, v any, path string, at Mark) {
	if to, ok := reflect.TypeAssert[binder](f.Addr()); ok {
		problem := to.Bind(path, at, v, b, f.tag)
		if _, isTable := v.(map[string]any); isTable && f.tag.Get("table") != "" {
			problem += fmt.Sprintf("; the table is called [%s]", f.tag.Get("table"))
		}
		if problem != "" {
			b.At(at, "%s", problem)
		}
		return
	}
	if f.Kind() == reflect.Slice {
		b.tables(f.Value, v, path, at)
		return
	}
	m, ok := v.(map[string]any)
	if !ok {
		b.At(at, "expected a table, found %s: write [%s] on a line of its own and its keys below", Describe(v, true), at.Key)
		return
	}
	if to, ok := reflect.TypeAssert[TableBinder](f.Addr()); ok {
		to.BindTable(path, m, b, at)
		return
	}
	setMark(f.Value, at)
	b.table(f.Value, m, path, at.Key)
}

func (b *Binding) tables(f reflect.Value, v any, path string, at Mark) {
	list, ok := tableList(v)
	if !ok {
		b.At(at, "expected an array of tables, found %s: write [[%s]] with two brackets on each side", Describe(v, true), at.Key)
		return
	}
	f.Set(reflect.MakeSlice(f.Type(), len(list), len(list)))
	for i, m := range list {
		p := elementKey(path, i)
		setMark(f.Index(i), Mark{at.Key, b.lines[p]})
		b.table(f.Index(i), m, p, at.Key)
	}
}

// tableList accepts [[x]] and x = [{…}, {…}].
func tableList(v any) ([]map[string]any, bool) {
	if list, ok := v.([]map[string]any); ok {
		return list, true
	}
	items, ok := v.([]any)
	if !ok {
		return nil, false
	}
	list := make([]map[string]any, len(items))
	for i, item := range items {
		if list[i], ok = item.(map[string]any); !ok {
			return nil, false
		}
	}
	return list, true
}

// setMark fills the embedded mark of a table's raw struct, where it has one.
func setMark(f reflect.Value, at Mark) {
	if to, ok := reflect.TypeAssert[interface{ setMark(Mark) }](f.Addr()); ok {
		to.setMark(at)
	}
}

func (m *Mark) setMark(at Mark) { *m = at }

// TableBinder is a table whose keys are no fields of a struct.
type TableBinder interface {
	BindTable(path string, m map[string]any, b *Binding, at Mark)
}

func SortedKeys(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
