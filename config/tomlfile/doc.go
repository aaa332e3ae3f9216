// Package tomlfile reads a TOML file into a raw struct and collects every mistake in it,
// each with its line; it writes TOML as well. It is the only importer of toml.
//
//	type raw struct {
//		Listen tomlfile.Field[[]tomlfile.Element] `toml:"listen" example:"[\"127.0.0.1:1080\"]"`
//		Limits struct {
//			Idle tomlfile.Field[string] `toml:"idle_timeout"`
//		} `toml:"limits"`
//		Users []rawUser `toml:"user"` // [[user]]
//	}
//	var r raw
//	report, ok := tomlfile.Parse(text, "client.toml", &r, tomlfile.Program{})
//	idle := tomlfile.Checker{Report: report}.Duration(r.Limits.Idle, time.Minute, legal)
//	err := report.Mistakes.OrNil()
//
// A raw struct mirrors a file: a field of type Field is a key, a struct is a table, a
// slice of structs an array of tables. The toml tag is the name. The example tag is shown
// where the type is wrong. The value of a key with a secret tag is never shown. A raw
// struct that embeds Mark learns where its table stands.
//
// Files with secrets are written by WritePrivate and ReplacePrivate: whole or not at all,
// and readable for their owner alone.
package tomlfile
