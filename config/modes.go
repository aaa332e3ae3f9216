package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"mpproxy/pathctl/policy"
)

// rawModes are the tables [modes.NAME], in the order of their names. Which keys
// one has depends on its base, so the schema is policy's table of numbers.
type rawModes struct{ list []rawMode }

type rawMode struct {
	mark
	name    string
	base    field[string]
	numbers []rawNumber
}

type rawNumber struct {
	mark
	name  string
	value any
}

// tableBinder is a table whose keys are no fields of a struct.
type tableBinder interface {
	bindTable(path string, m map[string]any, b *binding, at mark)
}

func (r *rawModes) bindTable(path string, m map[string]any, b *binding, at mark) {
	for _, name := range sortedKeys(m) {
		p := joinKey(path, name)
		mode := rawMode{mark: mark{joinKey(at.key, name), b.lines[p]}, name: name}
		keys, ok := m[name].(map[string]any)
		if !ok {
			b.at(mode.mark, "expected a table, found %s: write [%s] on a line of its own and its keys below", describe(m[name], false), mode.key)
			continue
		}
		for _, k := range sortedKeys(keys) {
			km := mark{joinKey(mode.key, k), b.lines[joinKey(p, k)]}
			if k != baseKey {
				mode.numbers = append(mode.numbers, rawNumber{km, k, keys[k]})
				continue
			}
			if problem := mode.base.bind(joinKey(p, k), km, keys[k], b, `example:"\"handover\""`); problem != "" {
				b.at(km, "%s", problem)
			}
		}
		r.list = append(r.list, mode)
	}
}

const baseKey = "base"

// eachModeKey calls f for each key that a mode can have.
func eachModeKey(path string, role policy.Role, f func(key string, isLeaf bool)) {
	path = joinKey(path, "NAME")
	f(joinKey(path, baseKey), true)
	for _, p := range numbersOf(role, policy.Modes()...) {
		f(joinKey(path, p.Key), true)
	}
}

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

// modes returns the built-in modes with the numbers that the file gives them,
// and behind them those that it defines, in the order of their names.
func (c check) modes(raw rawModes, role policy.Role) []policy.Spec {
	specs := policy.BuiltIn()
	var own []rawMode
	for _, m := range raw.list {
		i := slices.IndexFunc(specs, func(s policy.Spec) bool { return s.Name == m.name })
		if i < 0 {
			own = append(own, m)
			continue
		}
		if m.base.isSet && m.base.value != m.name {
			c.at(m.base.mark, "%q is built in: it has no base; give a mode of your own another name", m.name)
		}
		c.numbers(&specs[i], m, role)
	}
	builtIn := specs
	for _, m := range own {
		specs = append(specs, c.ownMode(m, builtIn, role))
	}
	return specs
}

// ownMode reads a mode that is not built in. It begins with the numbers that
// its base has in this file.
func (c check) ownMode(raw rawMode, builtIn []policy.Spec, role policy.Role) policy.Spec {
	spec := builtIn[0]
	spec.Name = raw.name
	if err := spec.Validate(); err != nil {
		c.at(raw.mark, "%v", err)
		return spec
	}
	if raw.base.isAbsent() {
		c.at(raw.mark, "no mode has this name, and one of your own needs a base: add base = \"…\", one of the built-in modes%s", didYouMean(raw.name, specNames(builtIn)))
		return spec
	}
	base := string(oneOf(c, raw.base, "", policy.Modes()...))
	i := slices.IndexFunc(builtIn, func(s policy.Spec) bool { return s.Name == base })
	if i < 0 {
		return spec
	}
	spec.Base, spec.Params = builtIn[i].Base, builtIn[i].Params
	c.numbers(&spec, raw, role)
	return spec
}

// numbers lays the numbers of a table over those of a mode.
func (c check) numbers(spec *policy.Spec, raw rawMode, role policy.Role) {
	legal := numbersOf(role, spec.Base)
	marks := map[string]mark{}
	for _, n := range raw.numbers {
		i := slices.IndexFunc(legal, func(p policy.Param) bool { return p.Key == n.name })
		if i < 0 {
			c.unknownNumber(n, spec.Base, role, legal)
			continue
		}
		marks[n.name] = n.mark
		c.setNumber(&spec.Params, legal[i], n)
	}
	// What is left are numbers that do not fit each other.
	for _, err := range parts(spec.Params.Validate()) {
		var pe *policy.ParamError
		if !errors.As(err, &pe) || !slices.ContainsFunc(legal, func(p policy.Param) bool { return p.Key == pe.Key }) {
			continue // about a number that this mode does not use
		}
		at, given := marks[pe.Key]
		if !given {
			at = mark{joinKey(raw.key, pe.Key), raw.line}
		}
		c.at(at, "%s does not fit the mode's other numbers: use %s", pe.Value, pe.Legal)
	}
}

func (c check) setNumber(to *policy.Params, p policy.Param, n rawNumber) {
	text, ok := numberText(p.Kind, n.value)
	if !ok {
		example, _ := to.Get(p.Key)
		c.at(n.mark, "expected %s such as %s, found %s", kindName(p.Kind), tomlNumber(p.Kind, example), describe(n.value, false))
		return
	}
	var pe *policy.ParamError
	if err := to.Set(p.Key, text); errors.As(err, &pe) {
		c.at(n.mark, "%q is not allowed: use %s", strings.Trim(pe.Value, `"`), pe.Legal)
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
	return quote(text)
}

func (c check) unknownNumber(n rawNumber, base policy.Mode, role policy.Role, legal []policy.Param) {
	keys := []string{baseKey}
	for _, p := range legal {
		keys = append(keys, p.Key)
	}
	is := func(p policy.Param) bool { return p.Key == n.name }
	if slices.ContainsFunc(base.Params(), is) {
		c.at(n.mark, "the client decides about this: it belongs in the file of mpproxy-client")
		return
	}
	if elsewhere := modesWith(n.name); len(elsewhere) > 0 {
		c.at(n.mark, "%q does not use this number: it is one of %s", base, strings.Join(elsewhere, ", "))
		return
	}
	if near := nearest(n.name, keys); near != "" {
		c.at(n.mark, "unknown key; did you mean %q?", near)
		return
	}
	c.at(n.mark, "unknown key; the keys of a mode with the base %q are %s", base, strings.Join(keys, ", "))
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

func specNames(specs []policy.Spec) []string {
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.Name
	}
	return names
}

// modeName reads the name of a mode that exists in this file.
func (c check) modeName(f field[string], otherwise string, specs []policy.Spec) string {
	return oneOf(c, f, otherwise, specNames(specs)...)
}

// ModeNamed returns the mode with that exact name.
func ModeNamed(specs []policy.Spec, name string) (policy.Spec, error) {
	for _, s := range specs {
		if s.Name == name {
			return s, nil
		}
	}
	return policy.Spec{}, fmt.Errorf("unknown mode %q: the modes are %s%s", name, quotedList(specNames(specs)), didYouMean(name, specNames(specs)))
}

// changedMode is a mode with the numbers that differ: from the defaults for a
// built-in mode, from the base for one of the user's.
type changedMode struct {
	spec    policy.Spec
	isOwn   bool
	numbers []changedNumber
}

type changedNumber struct {
	param   policy.Param
	was, is string
}

// changedModes returns the modes that are not as they are by default. specs has
// the built-in modes first.
func changedModes(specs []policy.Spec) (out []changedMode) {
	builtIn := map[policy.Mode]policy.Params{}
	for _, s := range specs {
		m := changedMode{spec: s, isOwn: s.Name != string(s.Base)}
		from := policy.DefaultParams(s.Base)
		if m.isOwn {
			from = builtIn[s.Base]
		} else {
			builtIn[s.Base] = s.Params
		}
		for _, p := range s.Base.Params() {
			was, _ := from.Get(p.Key)
			if is, err := s.Params.Get(p.Key); err == nil && is != was {
				m.numbers = append(m.numbers, changedNumber{p, was, is})
			}
		}
		if m.isOwn || len(m.numbers) > 0 {
			out = append(out, m)
		}
	}
	return out
}

// modes writes what is not as it is by default.
func (w *tomlWriter) modes(specs []policy.Spec) {
	for _, m := range changedModes(specs) {
		w.table("modes." + m.spec.Name)
		if m.isOwn {
			w.str(baseKey, string(m.spec.Base))
		}
		for _, n := range m.numbers {
			w.raw(n.param.Key, tomlNumber(n.param.Kind, n.is))
		}
	}
}

func sortedKeys(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

var rawModesType = reflect.TypeFor[rawModes]()

// roleOf says which program's file a raw struct mirrors.
func roleOf(t reflect.Type) policy.Role {
	if t == reflect.TypeFor[rawServer]() {
		return policy.Concentrator
	}
	return policy.Client
}
