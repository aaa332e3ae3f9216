package tomlfile

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// unknown reports a key or table that does not exist here: the nearest one that
// does, or the table where one of this name lives (a key written below a table's
// header belongs to that table, which TOML beginners do not expect).
func (b *Binding) unknown(at Mark, name string, v any, fields map[string]rawField) {
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
	if n := Nearest(name, known); n != "" {
		b.At(at, "unknown %s; did you mean %q?", kind, n)
		return
	}
	if homes := homesOf(b.root, name); len(homes) > 0 {
		b.At(at, "unknown %s here; %q belongs %s", kind, name, strings.Join(homes, " or "))
		return
	}
	if at.Key == name && b.other.Schema != nil && len(homesOf(reflect.TypeOf(b.other.Schema), name)) > 0 {
		b.At(at, "unknown %s here; %q belongs in the file of %s: is this the right file?", kind, name, b.other.Name)
		return
	}
	if len(known) == 0 {
		b.At(at, "unknown %s; there are no %ss here", kind, kind)
		return
	}
	b.At(at, "unknown %s; the %ss here are %s", kind, kind, strings.Join(known, ", "))
}

// A Program has a schema for its file.
type Program struct {
	Name   string
	Schema any // the raw struct
}

// homesOf lists where in a schema a key or table called name lives.
func homesOf(t reflect.Type, name string) (homes []string) {
	EachKey(t, "", func(key string, _ bool) {
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

// EachKey calls f for each key and table of a raw struct's schema.
func EachKey(t reflect.Type, path string, f func(key string, isLeaf bool)) {
	for sf := range t.Fields() {
		name := sf.Tag.Get("toml")
		sub := sf.Type
		if sub.Kind() == reflect.Slice {
			sub = sub.Elem()
		}
		switch {
		case isPart(sf):
			EachKey(sf.Type, path, f)
		case name == "":
		case sf.Type.Implements(openTableType):
			f(JoinKey(path, name), false)
			reflect.Zero(sf.Type).Interface().(OpenTable).EachKey(JoinKey(path, name), f)
		case reflect.PointerTo(sf.Type).Implements(binderType):
			f(JoinKey(path, name), true)
		default:
			f(JoinKey(path, name), false)
			EachKey(sub, JoinKey(path, name), f)
		}
	}
}

var (
	binderType    = reflect.TypeFor[binder]()
	openTableType = reflect.TypeFor[OpenTable]()
)

// An openTable is a table whose keys are no fields of a struct. eachKey tells which it
// may have, of its zero value too.
type OpenTable interface {
	EachKey(path string, f func(key string, isLeaf bool))
}

// isPart is true for a struct that is embedded for its keys.
func isPart(sf reflect.StructField) bool {
	return sf.Anonymous && sf.Tag.Get("toml") == "" && sf.Type != reflect.TypeFor[Mark]()
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
