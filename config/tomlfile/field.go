package tomlfile

import (
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// Field is one key of a file that may be absent.
type Field[T any] struct {
	Mark
	IsSet bool
	Value T
}

// Or returns the value, or otherwise when the key is absent.
func (f Field[T]) Or(otherwise T) T {
	if f.IsSet {
		return f.Value
	}
	return otherwise
}

// IsAbsent is false for a key whose value was of the wrong type: that has been
// reported already.
func (f Field[T]) IsAbsent() bool { return f.Key == "" }

// Element is one string of a list, with its own line.
type Element struct {
	Mark
	Value string
}

// Item is one value of a list that has values of several types.
type Item struct {
	Mark
	Value any
}

// Word is a string that may be written as a list of strings, too.
type Word struct {
	Single string
	List   []Element
	IsList bool
}

// binder is a Field of any type.
type binder interface {
	Bind(path string, m Mark, v any, b *Binding, tag reflect.StructTag) (problem string)
}

func (f *Field[T]) Bind(path string, m Mark, v any, b *Binding, tag reflect.StructTag) string {
	f.Mark = m
	ok, want := false, ""
	switch to := any(&f.Value).(type) {
	case *string:
		ok, want = assign(to, v), "a string in quotes"
	case *bool:
		ok, want = assign(to, v), "true or false"
	case *int64:
		ok, want = assign(to, v), "a whole number"
	case *time.Time:
		ok, want = assign(to, v), "a date and time such as 2026-01-31T12:00:00Z"
	case *[]Element:
		ok, want = b.elements(to, path, m, v), "a list of strings"
	case *[]Item:
		ok, want = b.items(to, path, m, v), "a list"
	case *Word:
		if ok = assign(&to.Single, v); !ok {
			to.IsList = true
			ok = b.elements(&to.List, path, m, v)
		}
		want = "a string or a list of strings"
	default:
		panic(fmt.Sprintf("config: no binding for %T", f.Value))
	}
	if f.IsSet = ok; ok {
		return ""
	}
	if example := tag.Get("example"); example != "" {
		want += " such as " + example
	}
	return fmt.Sprintf("expected %s, found %s", want, Describe(v, tag.Get("secret") != ""))
}

func assign[T any](to *T, v any) bool {
	t, ok := v.(T)
	if ok {
		*to = t
	}
	return ok
}

// elements reads a list of strings, each with its line.
func (b *Binding) elements(to *[]Element, path string, m Mark, v any) bool {
	var items []Item
	if !b.items(&items, path, m, v) {
		return false
	}
	*to = make([]Element, 0, len(items))
	for _, it := range items {
		s, ok := it.Value.(string)
		if !ok {
			return false
		}
		*to = append(*to, Element{it.Mark, s})
	}
	return true
}

// items reads a list of anything, each with its line.
func (b *Binding) items(to *[]Item, path string, m Mark, v any) bool {
	list, ok := v.([]any)
	if !ok {
		return false
	}
	*to = make([]Item, 0, len(list))
	for i, v := range list {
		at := m
		if n := b.lines[elementKey(path, i)]; n > 0 {
			at.Line = n
		}
		*to = append(*to, Item{at, v})
	}
	return true
}

// Describe names a TOML value's type, and shows short values that are no secret.
func Describe(v any, isSecret bool) string {
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
