package config

import "mpproxy/config/configtest"

// textMistakes are those that the reader of any file finds: of TOML, of keys and of types.
var textMistakes = []configtest.Mistake{
	{
		Name: "misspelt key",
		Text: "mod = 1\n",
		Want: []string{
			`f.toml:1: mod: unknown key; did you mean "mode"?`,
		},
	},
	{
		Name: "all at once, in the order of lines",
		Text: `mode = "agregate"
require_mptcp = "yes"
[limits]
idle_timout = "1m"
connect_timeout = 30
max_connections = -1
[[path]]
interface = "wlan0"
rank = 300
[[path]]
name = "lte"
metred = true
`,
		Want: []string{
			`f.toml:1: mode: "agregate" is not allowed here: use "aggregate", "handover", "interactive", "lazy", "streaming", "refresh", "backup", "ndiffports" or "single"; did you mean "aggregate"?`,
			`f.toml:2: require_mptcp: expected true or false, found a string "yes"`,
			`f.toml:4: limits.idle_timout: unknown key; did you mean "idle_timeout"?`,
			`f.toml:5: limits.connect_timeout: expected a string in quotes such as "15s", found a number 30`,
			"f.toml:6: limits.max_connections: -1 is out of range: allowed is 0 to 1000000",
			"f.toml:9: path.rank: 300 is out of range: allowed is 1 to 255",
			`f.toml:10: path: the path has no interface: add interface = "…", a name or a pattern such as "wlan*"`,
			`f.toml:12: path.metred: unknown key; did you mean "metered"?`,
		},
	},
	{
		Name: "key in another case",
		Text: `Mode = "single"
`,
		Want: []string{
			`f.toml:1: Mode: unknown key; did you mean "mode"?`,
		},
	},
	{
		Name: "key below the wrong table",
		Text: `[socks]
listen = ["127.0.0.1:1080"]
idle_timeout = "1m"
`,
		Want: []string{
			`f.toml:3: socks.idle_timeout: unknown key here; "idle_timeout" belongs in [limits]`,
		},
	},
	{
		Name: "key above its table",
		Text: `receive_buffer = "1MiB"
`,
		Want: []string{
			`f.toml:1: receive_buffer: unknown key here; "receive_buffer" belongs in [limits]`,
		},
	},
	{
		Name: "unknown table",
		Text: `[rules]
ports = [22]
[paths]
`,
		Want: []string{
			`f.toml:1: rules: unknown table; did you mean "rule"?`,
			`f.toml:3: paths: unknown table; did you mean "path"?`,
		},
	},
	{
		Name: "dotted and quoted keys",
		Text: `limits.idle_timeout = "1m"
limits."idle timeout" = 3
`,
		Want: []string{
			`f.toml:2: limits."idle timeout": unknown key; did you mean "idle_timeout"?`,
		},
	},
	{
		Name: "inline table",
		Text: `path = [{interface = "a"},
 {interface = "b", rnak = 1}]
`,
		Want: []string{
			`f.toml:2: path.rnak: unknown key; did you mean "rank"?`,
		},
	},
	{
		Name: "path with one bracket",
		Text: `[path]
interface = "a"
`,
		Want: []string{
			"f.toml:1: path: expected an array of tables, found a table: write [[path]] with two brackets on each side",
		},
	},
	{
		Name: "table as a value",
		Text: "limits = 3\n",
		Want: []string{
			"f.toml:1: limits: expected a table, found a number: write [limits] on a line of its own and its keys below",
		},
	},
	{
		Name: "link without quotes",
		Text: "link = mpproxy://alice:Tok-en_1@h:1\n",
		Want: []string{
			`f.toml:1: is not valid TOML: expected value but found "…" instead; text stands in quotes`,
		},
	},
	{
		Name: "string not closed",
		Text: `mode = "single
`,
		Want: []string{
			"f.toml:1: is not valid TOML: strings cannot contain newlines",
		},
	},
	{
		Name: "key twice",
		Text: `mode = "single"

mode = "lazy"
`,
		Want: []string{
			"f.toml:3: is not valid TOML: Key 'mode' has already been defined.",
		},
	},
	{
		Name: "list of the wrong type",
		Text: `[socks]
listen = [1080]
`,
		Want: []string{
			`f.toml:2: socks.listen: expected a list of strings such as ["127.0.0.1:1080"], found a list [1080]`,
		},
	},
	{
		Name: "nested too deep",
		Text: "x = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
		Want: []string{
			"f.toml: arrays, inline tables or the parts of a key are nested more than 32 deep: nothing in this file needs that",
		},
	},
	{
		Name: "wrong type of a secret",
		Text: `link = 99999
[[socks.user]]
name = true
password = 12345678
`,
		Want: []string{
			"f.toml:1: link: expected a string in quotes, found a number",
			"f.toml:3: socks.user.name: expected a string in quotes, found the truth value true",
			"f.toml:4: socks.user.password: expected a string in quotes, found a number",
		},
	},
	{
		Name: "password without quotes",
		Text: `[[socks.user]]
name = "a"
password = hunter2
`,
		Want: []string{
			`f.toml:3: is not valid TOML: expected value but found "…" instead; text stands in quotes`,
		},
	},
	{
		Name: "password without quotes, digits",
		Text: `[[socks.user]]
name = "a"
password = 99999999999999999999
`,
		Want: []string{
			"f.toml:3: is not valid TOML: … is out of range for int64",
		},
	},
	{
		Name: "user table at the top",
		Text: `[[user]]
name = "a"
`,
		Want: []string{
			`f.toml:1: user: unknown table here; "user" belongs in [socks]`,
		},
	},
	{
		Name: "table that is an inline value",
		Text: `socks = [1]
path = [1]
`,
		Want: []string{
			"f.toml:1: socks: expected a table, found a list: write [socks] on a line of its own and its keys below",
			"f.toml:2: path: expected an array of tables, found a list: write [[path]] with two brackets on each side",
		},
	},
	{
		Name: "server's keys",
		Text: "public = \"a:1\"\n[destinations]\n",
		Want: []string{
			`f.toml:1: public: unknown key here; "public" belongs in the file of mpproxy-server: is this the right file?`,
			`f.toml:2: destinations: unknown table here; "destinations" belongs in the file of mpproxy-server: is this the right file?`,
		},
	},
	{
		Name: "byte order mark",
		Text: "\uFEFFmod = 1\n",
		Want: []string{
			`f.toml:1: mod: unknown key; did you mean "mode"?`,
		},
	},
	{
		Name: "not text",
		Text: "\x00\x01\x02",
		Want: []string{
			"f.toml:1: is not valid TOML: files cannot contain NULL bytes; probably using UTF-16; TOML files must be UTF-8",
		},
	},
	{
		Name: "not UTF-8",
		Text: "mode = \"\xff\"",
		Want: []string{
			"f.toml:1: is not valid TOML: invalid UTF-8 byte: 0xff",
		},
	},
	{
		Name: "Windows line ends",
		Text: "mode = \"single\"\r\n\r\nmod = 1\r\n",
		Want: []string{
			`f.toml:3: mod: unknown key; did you mean "mode"?`,
		},
	},
}
