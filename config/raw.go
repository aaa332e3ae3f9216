package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Raw structs mirror a file: a field of type field[T] is a key, a struct is a
// table, a slice of structs an array of tables. Names come from toml tags.
//
// toml.Decode into a struct stops at the first wrong type, matches keys without
// regard to case and knows no positions, so we let it parse into a map and bind
// the map to the raw struct ourselves: every mistake of a file is reported, with
// its line. An unknown key cannot slip through: bind visits every key there is.

// field is one key of a file that may be absent.
type field[T any] struct {
	mark
	isSet bool
	value T
}

// or returns the value, or otherwise when the key is absent.
func (f field[T]) or(otherwise T) T {
	if f.isSet {
		return f.value
	}
	return otherwise
}

// element is one string of a list, with its own line.
type element struct {
	mark
	value string
}

// word is a string that may be written as a list of strings, too.
type word struct {
	single string
	list   []element
	isList bool
}

// binder is what bind needs of a field[T].
type binder interface {
	bind(path string, m mark, v any, lines lineIndex) (problem string)
}

func (f *field[T]) bind(path string, m mark, v any, lines lineIndex) string {
	f.mark = m
	problem := ""
	switch to := any(&f.value).(type) {
	case *string:
		problem = assign(to, v, "a string in quotes")
	case *bool:
		problem = assign(to, v, "true or false")
	case *int64:
		problem = assign(to, v, "a whole number")
	case *time.Time:
		problem = assign(to, v, "a date and time such as 2026-01-31T12:00:00Z")
	case *[]element:
		problem = bindList(to, path, m, v, lines)
	case *word:
		if problem = assign(&to.single, v, ""); problem != "" {
			to.isList = true
			problem = bindList(&to.list, path, m, v, lines)
		}
	default:
		panic(fmt.Sprintf("config: no binding for %T", f.value))
	}
	f.isSet = problem == ""
	return problem
}

func assign[T any](to *T, v any, want string) string {
	t, ok := v.(T)
	if !ok {
		return fmt.Sprintf("expected %s, found %s", want, describe(v))
	}
	*to = t
	return ""
}

func bindList(to *[]element, path string, m mark, v any, lines lineIndex) string {
	const want = `a list of strings such as ["a", "b"]`
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprintf("expected %s, found %s", want, describe(v))
	}
	*to = make([]element, 0, len(list))
	for i, item := range list {
		s, ok := item.(string)
		if !ok {
			return fmt.Sprintf("expected %s, found %s in the list", want, describe(item))
		}
		at := mark{m.key, m.line}
		if n := lines[elementKey(path, i)]; n > 0 {
			at.line = n
		}
		*to = append(*to, element{at, s})
	}
	return ""
}

// describe names a TOML value's type. Only numbers and truth values are shown:
// a string in the wrong place may be a password.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		return "a string"
	case bool:
		return fmt.Sprintf("the truth value %v", v)
	case int64:
		return fmt.Sprintf("the number %d", v)
	case float64:
		return "the number " + strconv.FormatFloat(v, 'g', -1, 64)
	case time.Time:
		return "a date or time"
	case []any:
		return "a list"
	case []map[string]any:
		return "an array of tables"
	case map[string]any:
		return "a table"
	}
	return fmt.Sprintf("%T", v)
}

// parse reads text into the raw struct that raw points to. What it returns are
// the mistakes so far and the lines of keys, for those who go on checking.
func parse(text, file string, raw any) (*report, lineIndex) {
	r := &report{file: file}
	lines, err := indexLines(text)
	if err != nil {
		r.at(mark{}, "%v: nothing in this file needs that", err)
		return r, nil
	}
	tree := map[string]any{}
	if _, err := toml.Decode(text, &tree); err != nil {
		r.syntax(err)
		return r, nil
	}
	b := binding{report: r, lines: lines, root: reflect.TypeOf(raw).Elem()}
	b.table(reflect.ValueOf(raw).Elem(), tree, "", "")
	return r, lines
}

// syntax reports what the TOML parser says. Its texts quote single characters
// and keys, never values, except for strings that are no dates.
func (r *report) syntax(err error) {
	var pe toml.ParseError
	if !errors.As(err, &pe) {
		r.at(mark{}, "is not valid TOML: %s", strings.TrimPrefix(err.Error(), "toml: "))
		return
	}
	r.at(mark{line: pe.Position.Line}, "is not valid TOML: %s", strings.TrimSpace(pe.Message))
}

type binding struct {
	*report
	lines lineIndex
	root  reflect.Type
}

// table binds m to the raw struct v. path has array indices and is for finding
// lines, key has none and is for people.
func (b *binding) table(v reflect.Value, m map[string]any, path, key string) {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	fields := fieldsOf(v)
	for _, name := range names {
		at := mark{joinKey(key, name), b.lines[joinKey(path, name)]}
		if f, ok := fields[name]; ok {
			b.entry(f, m[name], joinKey(path, name), at)
		} else {
			b.unknown(at, name, fields)
		}
	}
}

func (b *binding) entry(f reflect.Value, v any, path string, at mark) {
	if to, ok := f.Addr().Interface().(binder); ok {
		if problem := to.bind(path, at, v, b.lines); problem != "" {
			b.at(at, "%s", problem)
		}
		return
	}
	if f.Kind() == reflect.Slice {
		b.tables(f, v, path, at)
		return
	}
	m, ok := v.(map[string]any)
	if !ok {
		b.at(at, "expected a table, found %s: write [%s] on a line of its own and its keys below", describe(v), at.key)
		return
	}
	setMark(f, at)
	b.table(f, m, path, at.key)
}

func (b *binding) tables(f reflect.Value, v any, path string, at mark) {
	list, ok := tableList(v)
	if !ok {
		b.at(at, "expected an array of tables, found %s: write [[%s]] with two brackets on each side", describe(v), at.key)
		return
	}
	f.Set(reflect.MakeSlice(f.Type(), len(list), len(list)))
	for i, m := range list {
		p := elementKey(path, i)
		setMark(f.Index(i), mark{at.key, b.lines[p]})
		b.table(f.Index(i), m, p, at.key)
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
func setMark(f reflect.Value, at mark) {
	if to, ok := f.Addr().Interface().(interface{ setMark(mark) }); ok {
		to.setMark(at)
	}
}

func (m *mark) setMark(at mark) { *m = at }

// unknown reports a key that does not exist here: the nearest one that does, or
// the table where a key of this name lives (a key written below a table's header
// belongs to that table, which TOML beginners do not expect).
func (b *binding) unknown(at mark, name string, fields map[string]reflect.Value) {
	known := make([]string, 0, len(fields))
	for k := range fields {
		known = append(known, k)
	}
	slices.Sort(known)
	if n := nearest(name, known); n != "" {
		b.at(at, "unknown key; did you mean %q?", n)
		return
	}
	if homes := homesOf(b.root, name, ""); len(homes) > 0 {
		b.at(at, "unknown key here: %q belongs %s", name, strings.Join(homes, " or "))
		return
	}
	b.at(at, "unknown key; the keys here are %s", strings.Join(known, ", "))
}

// homesOf lists where in the schema a key called name lives.
func homesOf(t reflect.Type, name, path string) (homes []string) {
	eachKey(t, path, func(key string, isLeaf bool) {
		dir, last := "", key
		if i := strings.LastIndexByte(key, '.'); i >= 0 {
			dir, last = key[:i], key[i+1:]
		}
		switch {
		case last != name || !isLeaf:
		case dir == "":
			homes = append(homes, "at the top of the file, above the first [table]")
		default:
			homes = append(homes, "into ["+dir+"]")
		}
	})
	return homes
}

// eachKey calls f for each key and table of a raw struct's schema.
func eachKey(t reflect.Type, path string, f func(key string, isLeaf bool)) {
	for i := range t.NumField() {
		sf := t.Field(i)
		name := sf.Tag.Get("toml")
		sub := sf.Type
		if sub.Kind() == reflect.Slice {
			sub = sub.Elem()
		}
		switch {
		case name == "" && sf.Anonymous && sf.Type != reflect.TypeFor[mark]():
			eachKey(sf.Type, path, f)
		case name == "":
		case reflect.PointerTo(sf.Type).Implements(reflect.TypeFor[binder]()):
			f(joinKey(path, name), true)
		default:
			f(joinKey(path, name), false)
			eachKey(sub, joinKey(path, name), f)
		}
	}
}

// fieldsOf maps a raw struct's keys to its fields, embedded structs included.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	out := map[string]reflect.Value{}
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		name := sf.Tag.Get("toml")
		switch {
		case name != "":
			out[name] = v.Field(i)
		case sf.Anonymous && sf.Type != reflect.TypeFor[mark]():
			for k, f := range fieldsOf(v.Field(i)) {
				out[k] = f
			}
		}
	}
	return out
}
