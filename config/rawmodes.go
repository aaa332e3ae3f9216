package config

import (
	"reflect"
	"slices"

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
