package config

import (
	"mpproxy/config/tomlfile"
	"mpproxy/pathctl/policy"
)

// rawModes are the tables [modes.NAME], in the order of their names. Which keys
// one has depends on its base, so the schema is policy's table of numbers.
type rawModes struct{ list []rawMode }

type rawMode struct {
	tomlfile.Mark
	name    string
	base    tomlfile.Field[string]
	numbers []rawNumber
}

type rawNumber struct {
	tomlfile.Mark
	name  string
	value any
}

func (r *rawModes) BindTable(path string, m map[string]any, b *tomlfile.Binding, at tomlfile.Mark) {
	for _, name := range tomlfile.SortedKeys(m) {
		mark, below := b.Child(path, at.Key, name)
		mode := rawMode{Mark: mark, name: name}
		keys, ok := m[name].(map[string]any)
		if !ok {
			b.At(mode.Mark, "expected a table, found %s: write [%s] on a line of its own and its keys below", tomlfile.Describe(m[name], false), mode.Key)
			continue
		}
		for _, k := range tomlfile.SortedKeys(keys) {
			at, path := b.Child(below, mode.Key, k)
			if k != baseKey {
				mode.numbers = append(mode.numbers, rawNumber{at, k, keys[k]})
				continue
			}
			if problem := mode.base.Bind(path, at, keys[k], b, `example:"\"handover\""`); problem != "" {
				b.At(at, "%s", problem)
			}
		}
		r.list = append(r.list, mode)
	}
}

const baseKey = "base"

// Which numbers a mode has depends on the program.
type (
	clientModes struct{ rawModes }
	serverModes struct{ rawModes }
)

func (clientModes) EachKey(path string, f func(key string, isLeaf bool)) {
	eachModeKey(path, policy.Client, f)
}

func (serverModes) EachKey(path string, f func(key string, isLeaf bool)) {
	eachModeKey(path, policy.Concentrator, f)
}

// eachModeKey calls f for each key that a mode can have.
func eachModeKey(path string, role policy.Role, f func(key string, isLeaf bool)) {
	path = tomlfile.JoinKey(path, "NAME")
	f(tomlfile.JoinKey(path, baseKey), true)
	for _, p := range numbersOf(role, policy.Modes()...) {
		f(tomlfile.JoinKey(path, p.Key), true)
	}
}
