package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/BurntSushi/toml"
)

// Raw structs mirror a file: a field of type field[T] is a key, a struct is a
// table, a slice of structs an array of tables. The toml tag is the name, the
// example tag shows a value when the type is wrong, and values of keys with a
// secret tag are never shown.
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

// item is one value of a list that has values of several types.
type item struct {
	mark
	value any
}

// word is a string that may be written as a list of strings, too.
type word struct {
	single string
	list   []element
	isList bool
}

// binder is what bind needs of a field[T].
type binder interface {
	bind(path string, m mark, v any, b *binding, tag reflect.StructTag) (problem string)
}

func (f *field[T]) bind(path string, m mark, v any, b *binding, tag reflect.StructTag) string {
	f.mark = m
	ok, want := false, ""
	switch to := any(&f.value).(type) {
	case *string:
		ok, want = assign(to, v), "a string in quotes"
	case *bool:
		ok, want = assign(to, v), "true or false"
	case *int64:
		ok, want = assign(to, v), "a whole number"
	case *time.Time:
		ok, want = assign(to, v), "a date and time such as 2026-01-31T12:00:00Z"
	case *[]element:
		ok, want = b.elements(to, path, m, v), "a list of strings"
	case *[]item:
		ok, want = b.items(to, path, m, v), "a list"
	case *word:
		if ok = assign(&to.single, v); !ok {
			to.isList = true
			ok = b.elements(&to.list, path, m, v)
		}
		want = "a string or a list of strings"
	default:
		panic(fmt.Sprintf("config: no binding for %T", f.value))
	}
	if f.isSet = ok; ok {
		return ""
	}
	if example := tag.Get("example"); example != "" {
		want += " such as " + example
	}
	return fmt.Sprintf("expected %s, found %s", want, describe(v, tag.Get("secret") != ""))
}

// isAbsent is false for a key whose value was of the wrong type: that has been
// reported already.
func (f field[T]) isAbsent() bool { return f.key == "" }

func assign[T any](to *T, v any) bool {
	t, ok := v.(T)
	if ok {
		*to = t
	}
	return ok
}

// elements reads a list of strings, each with its line.
func (b *binding) elements(to *[]element, path string, m mark, v any) bool {
	var items []item
	if !b.items(&items, path, m, v) {
		return false
	}
	*to = make([]element, 0, len(items))
	for _, it := range items {
		s, ok := it.value.(string)
		if !ok {
			return false
		}
		*to = append(*to, element{it.mark, s})
	}
	return true
}

// items reads a list of anything, each with its line.
func (b *binding) items(to *[]item, path string, m mark, v any) bool {
	list, ok := v.([]any)
	if !ok {
		return false
	}
	*to = make([]item, 0, len(list))
	for i, v := range list {
		at := m
		if n := b.lines[elementKey(path, i)]; n > 0 {
			at.line = n
		}
		*to = append(*to, item{at, v})
	}
	return true
}

// describe names a TOML value's type, and shows short values that are no secret.
func describe(v any, isSecret bool) string {
	show := func(text string) string {
		if isSecret || len(text) > 40 {
			return ""
		}
		return " " + text
	}
	switch v := v.(type) {
	case string:
		return "a string" + show(strconv.Quote(v))
	case bool:
		return "the truth value" + show(strconv.FormatBool(v))
	case int64:
		return "a number" + show(strconv.FormatInt(v, 10))
	case float64:
		return "a number" + show(strconv.FormatFloat(v, 'g', -1, 64))
	case time.Time:
		return "a date or time"
	case []any:
		return "a list" + show(fmt.Sprintf("%v", v))
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
		r.syntax(err, text)
		return r, nil
	}
	b := binding{report: r, lines: lines, root: reflect.TypeOf(raw).Elem()}
	b.table(reflect.ValueOf(raw).Elem(), tree, "", "")
	return r, lines
}

// syntax reports what the TOML parser says.
func (r *report) syntax(err error, text string) {
	var pe toml.ParseError
	if !errors.As(err, &pe) {
		r.at(mark{}, "is not valid TOML: %s", strings.TrimPrefix(err.Error(), "toml: "))
		return
	}
	r.at(mark{line: pe.Position.Line}, "is not valid TOML: %s", withoutValue(pe.Message, text, pe.Position.Line))
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

type binding struct {
	*report
	lines lineIndex
	root  reflect.Type
}

// table binds m to the raw struct v. path has array indices and is for finding
// lines, key has none and is for people.
func (b *binding) table(v reflect.Value, m map[string]any, path, key string) {
	fields := fieldsOf(v)
	for _, name := range sortedKeys(m) {
		at := mark{joinKey(key, name), b.lines[joinKey(path, name)]}
		if f, ok := fields[name]; ok {
			b.entry(f, m[name], joinKey(path, name), at)
		} else {
			b.unknown(at, name, m[name], fields)
		}
	}
}

func (b *binding) entry(f rawField, v any, path string, at mark) {
	if to, ok := reflect.TypeAssert[binder](f.Addr()); ok {
		problem := to.bind(path, at, v, b, f.tag)
		if _, isTable := v.(map[string]any); isTable && f.tag.Get("table") != "" {
			problem += fmt.Sprintf("; the table is called [%s]", f.tag.Get("table"))
		}
		if problem != "" {
			b.at(at, "%s", problem)
		}
		return
	}
	if f.Kind() == reflect.Slice {
		b.tables(f.Value, v, path, at)
		return
	}
	m, ok := v.(map[string]any)
	if !ok {
		b.at(at, "expected a table, found %s: write [%s] on a line of its own and its keys below", describe(v, true), at.key)
		return
	}
	if to, ok := reflect.TypeAssert[tableBinder](f.Addr()); ok {
		to.bindTable(path, m, b, at)
		return
	}
	setMark(f.Value, at)
	b.table(f.Value, m, path, at.key)
}

func (b *binding) tables(f reflect.Value, v any, path string, at mark) {
	list, ok := tableList(v)
	if !ok {
		b.at(at, "expected an array of tables, found %s: write [[%s]] with two brackets on each side", describe(v, true), at.key)
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
	if to, ok := reflect.TypeAssert[interface{ setMark(mark) }](f.Addr()); ok {
		to.setMark(at)
	}
}

func (m *mark) setMark(at mark) { *m = at }

// unknown reports a key or table that does not exist here: the nearest one that
// does, or the table where one of this name lives (a key written below a table's
// header belongs to that table, which TOML beginners do not expect).
func (b *binding) unknown(at mark, name string, v any, fields map[string]rawField) {
	kind, known := "key", []string{}
	_, isTable := v.(map[string]any)
	if _, isTables := v.([]map[string]any); isTable || isTables {
		kind = "table"
	}
	for k, f := range fields {
		if f.isLeaf() == (kind == "key") {
			known = append(known, k)
		}
	}
	slices.Sort(known)
	if n := nearest(name, known); n != "" {
		b.at(at, "unknown %s; did you mean %q?", kind, n)
		return
	}
	if homes := homesOf(b.root, name); len(homes) > 0 {
		b.at(at, "unknown %s here; %q belongs %s", kind, name, strings.Join(homes, " or "))
		return
	}
	if other := b.otherProgram(); at.key == name && other.schema != nil && len(homesOf(other.schema, name)) > 0 {
		b.at(at, "unknown %s here; %q belongs in the file of %s: is this the right file?", kind, name, other.name)
		return
	}
	if len(known) == 0 {
		b.at(at, "unknown %s; there are no %ss here", kind, kind)
		return
	}
	b.at(at, "unknown %s; the %ss here are %s", kind, kind, strings.Join(known, ", "))
}

type program struct {
	name   string
	schema reflect.Type
}

// otherProgram is whose file this one could be by mistake, if any.
func (b *binding) otherProgram() program {
	switch b.root {
	case reflect.TypeFor[rawClient]():
		return program{"mpproxy-server", reflect.TypeFor[rawServer]()}
	case reflect.TypeFor[rawServer]():
		return program{"mpproxy-client", reflect.TypeFor[rawClient]()}
	}
	return program{}
}

// homesOf lists where in a schema a key or table called name lives.
func homesOf(t reflect.Type, name string) (homes []string) {
	eachKey(t, "", func(key string, _ bool) {
		dir, last := "", key
		if i := strings.LastIndexByte(key, '.'); i >= 0 {
			dir, last = key[:i], key[i+1:]
		}
		switch {
		case last != name:
		case dir == "":
			homes = append(homes, "at the top of the file, above the first [table]")
		default:
			homes = append(homes, "in ["+dir+"]")
		}
	})
	return homes
}

// eachKey calls f for each key and table of a raw struct's schema.
func eachKey(t reflect.Type, path string, f func(key string, isLeaf bool)) {
	for sf := range t.Fields() {
		name := sf.Tag.Get("toml")
		sub := sf.Type
		if sub.Kind() == reflect.Slice {
			sub = sub.Elem()
		}
		switch {
		case isPart(sf):
			eachKey(sf.Type, path, f)
		case name == "":
		case sf.Type == rawModesType:
			f(joinKey(path, name), false)
			eachModeKey(joinKey(path, name), roleOf(t), f)
		case reflect.PointerTo(sf.Type).Implements(binderType):
			f(joinKey(path, name), true)
		default:
			f(joinKey(path, name), false)
			eachKey(sub, joinKey(path, name), f)
		}
	}
}

var binderType = reflect.TypeFor[binder]()

// isPart is true for a struct that is embedded for its keys.
func isPart(sf reflect.StructField) bool {
	return sf.Anonymous && sf.Tag.Get("toml") == "" && sf.Type != reflect.TypeFor[mark]()
}

// rawField is a field of a raw struct, with its tags.
type rawField struct {
	reflect.Value
	tag reflect.StructTag
}

func (f rawField) isLeaf() bool { return f.Addr().Type().Implements(binderType) }

// fieldsOf maps a raw struct's keys to its fields, embedded structs included.
func fieldsOf(v reflect.Value) map[string]rawField {
	out := map[string]rawField{}
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		switch name := sf.Tag.Get("toml"); {
		case name != "":
			out[name] = rawField{v.Field(i), sf.Tag}
		case isPart(sf):
			maps.Copy(out, fieldsOf(v.Field(i)))
		}
	}
	return out
}
