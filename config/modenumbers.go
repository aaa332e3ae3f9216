package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mpproxy/config/tomlfile"
	"mpproxy/pathctl/policy"
)

// numbersOf lists the numbers that any of the modes has, in a program of that
// role.
func numbersOf(role policy.Role, modes ...policy.Mode) (out []policy.Param) {
	for _, m := range modes {
		for _, p := range m.Params() {
			known := slices.ContainsFunc(out, func(o policy.Param) bool { return o.Key == p.Key })
			if !known && p.UsedBy(role) {
				out = append(out, p)
			}
		}
	}
	return out
}

// numbers lays the numbers of a table over those of a mode.
func (c check) numbers(spec *policy.Spec, raw rawMode, role policy.Role) {
	legal := numbersOf(role, spec.Base)
	marks := map[string]tomlfile.Mark{}
	for _, n := range raw.numbers {
		i := slices.IndexFunc(legal, func(p policy.Param) bool { return p.Key == n.name })
		if i < 0 {
			c.unknownNumber(n, spec.Base, role, legal)
			continue
		}
		marks[n.name] = n.Mark
		c.setNumber(&spec.Params, legal[i], n)
	}
	// What is left are numbers that do not fit each other.
	for _, err := range parts(spec.Params.Validate(spec.Base)) {
		var pe *policy.ParamError
		if !errors.As(err, &pe) || !slices.ContainsFunc(legal, func(p policy.Param) bool { return p.Key == pe.Key }) {
			continue // about a number that this end does not use
		}
		at, given := marks[pe.Key]
		if !given {
			at = tomlfile.Mark{Key: tomlfile.JoinKey(raw.Key, pe.Key), Line: raw.Line}
		}
		c.At(at, "%s does not fit the mode's other numbers: use %s", pe.Value, pe.Legal)
	}
}

func (c check) setNumber(to *policy.Params, p policy.Param, n rawNumber) {
	text, ok := numberText(p.Kind, n.value)
	if !ok {
		example, _ := to.Get(p.Key)
		c.At(n.Mark, "expected %s such as %s, found %s", kindName(p.Kind), tomlNumber(p.Kind, example), tomlfile.Describe(n.value, false))
		return
	}
	var pe *policy.ParamError
	if err := to.Set(p.Key, text); errors.As(err, &pe) {
		c.At(n.Mark, "%q is not allowed: use %s", strings.Trim(pe.Value, `"`), pe.Legal)
	}
}

// numberText turns a TOML value into the text that policy reads. Durations and
// sizes have units, so they stand in quotes.
func numberText(k policy.Kind, v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, k == policy.Duration || k == policy.Bytes || k == policy.Rate
	case int64:
		return strconv.FormatInt(v, 10), k != policy.Duration
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), k == policy.Ratio
	}
	return "", false
}

// kindName says what is expected in a file.
func kindName(k policy.Kind) string {
	switch k {
	case policy.Ratio:
		return "a number"
	case policy.Count:
		return "a whole number"
	}
	return fmt.Sprintf("a %v in quotes", k)
}

// tomlNumber writes what policy.Params.Get returned as TOML.
func tomlNumber(k policy.Kind, text string) string {
	if k == policy.Ratio || k == policy.Count {
		return text
	}
	return tomlfile.Quote(text)
}

func (c check) unknownNumber(n rawNumber, base policy.Mode, role policy.Role, legal []policy.Param) {
	keys := []string{baseKey}
	for _, p := range legal {
		keys = append(keys, p.Key)
	}
	is := func(p policy.Param) bool { return p.Key == n.name }
	if slices.ContainsFunc(base.Params(), is) {
		c.At(n.Mark, "the client decides about this: it belongs in the file of mpproxy-client")
		return
	}
	if elsewhere := modesWith(n.name); len(elsewhere) > 0 {
		c.At(n.Mark, "%q does not use this number: it is one of %s", base, strings.Join(elsewhere, ", "))
		return
	}
	if near := tomlfile.Nearest(n.name, keys); near != "" {
		c.At(n.Mark, "unknown key; did you mean %q?", near)
		return
	}
	c.At(n.Mark, "unknown key; the keys of a mode with the base %q are %s", base, strings.Join(keys, ", "))
}

func modesWith(key string) (names []string) {
	for _, m := range policy.Modes() {
		if slices.ContainsFunc(m.Params(), func(p policy.Param) bool { return p.Key == key }) {
			names = append(names, string(m))
		}
	}
	return names
}

// parts takes an error of errors.Join apart.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return nil
}
