package config

import (
	"fmt"
	"slices"

	"mpproxy/config/tomlfile"
	"mpproxy/pathctl/policy"
)

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
		if m.base.IsSet && m.base.Value != m.name {
			c.At(m.base.Mark, "%q is built in: it has no base; give a mode of your own another name", m.name)
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
		c.At(raw.Mark, "%v", err)
		return spec
	}
	if raw.base.IsAbsent() {
		c.At(raw.Mark, "no mode has this name, and one of your own needs a base: add base = \"…\", one of the built-in modes%s", tomlfile.DidYouMean(raw.name, specNames(builtIn)))
		return spec
	}
	base := string(tomlfile.OneOf(c.Checker, raw.base, "", policy.Modes()...))
	i := slices.IndexFunc(builtIn, func(s policy.Spec) bool { return s.Name == base })
	if i < 0 {
		return spec
	}
	spec.Base, spec.Params = builtIn[i].Base, builtIn[i].Params
	c.numbers(&spec, raw, role)
	return spec
}

func specNames(specs []policy.Spec) []string {
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.Name
	}
	return names
}

// modeName reads the name of a mode that exists in this file.
func (c check) modeName(f tomlfile.Field[string], otherwise string, specs []policy.Spec) string {
	return tomlfile.OneOf(c.Checker, f, otherwise, specNames(specs)...)
}

// ModeNamed returns the mode with that exact name.
func ModeNamed(specs []policy.Spec, name string) (policy.Spec, error) {
	for i := range specs { // which are large to copy
		if specs[i].Name == name {
			return specs[i], nil
		}
	}
	return policy.Spec{}, fmt.Errorf("unknown mode %q: the modes are %s%s", name, tomlfile.QuotedList(specNames(specs)), tomlfile.DidYouMean(name, specNames(specs)))
}

// NearestMode returns the mode whose name differs so little from name that it may be
// meant, and "" if there is none.
func NearestMode(specs []policy.Spec, name string) string {
	return tomlfile.Nearest(name, specNames(specs))
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
func (w *writer) modes(specs []policy.Spec) {
	for _, m := range changedModes(specs) {
		w.Table("modes." + m.spec.Name)
		if m.isOwn {
			w.Str(baseKey, string(m.spec.Base))
		}
		for _, n := range m.numbers {
			w.Raw(n.param.Key, tomlNumber(n.param.Kind, n.is))
		}
	}
}
