package config

var clientMistakes = []mistake{
	{"misspelt key", "mod = 1\n", []string{`f.toml:1: mod: unknown key; did you mean "mode"?`}},
}
