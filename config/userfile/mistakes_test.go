package userfile

import "mpproxy/config/configtest"

var mistakes = []configtest.Mistake{
	{
		Name: "empty user",
		Text: "[[user]]\n",
		Want: []string{
			`f.toml:1: user: the user has no name: add name = "…"`,
			"f.toml:1: user: the user has no hash: it is \"sha256:\" and the 64 hexadecimal digits of the token's SHA-256, as `mpproxy-server user add` writes it",
			"f.toml:1: user: the user has no created: add the time of creation, such as created = 2026-01-31T12:00:00Z",
		},
	},
	{
		Name: "values",
		Text: `[[user]]
name = "a:b"
hash = "secret-token"
created = 2026-01-31
serial = 0
max_connections = -1
disabled = 1
`,
		Want: []string{
			`f.toml:2: user.name: the user name "a:b" must not contain '+' (it separates the mode) or ':' (it separates the token)`,
			"f.toml:3: user.hash: is not a hash: it must be \"sha256:\" and the 64 hexadecimal digits of the token's SHA-256, as `mpproxy-server user add` writes it",
			"f.toml:4: user.created: has no time zone: write a date and time such as 2026-01-31T12:00:00Z",
			"f.toml:5: user.serial: 0 is out of range: allowed is 1 to 2147483647",
			"f.toml:6: user.max_connections: -1 is out of range: allowed is 0 to 1000000",
			"f.toml:7: user.disabled: expected true or false, found a number 1",
		},
	},
	{
		Name: "created",
		Text: `[[user]]
name = "a"
hash = "sha256:00"
created = "2026-01-31"
[[user]]
name="b"
hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
created = 1969-12-31T12:00:00Z
`,
		Want: []string{
			"f.toml:3: user.hash: is not a hash: it must be \"sha256:\" and the 64 hexadecimal digits of the token's SHA-256, as `mpproxy-server user add` writes it",
			`f.toml:4: user.created: expected a date and time such as 2026-01-31T12:00:00Z, found a string "2026-01-31"`,
			"f.toml:7: user.hash: is not a hash: it must be \"sha256:\" and the 64 hexadecimal digits of the token's SHA-256, as `mpproxy-server user add` writes it",
			"f.toml:8: user.created: the year 1969 is out of range: allowed is 1970 to 9998",
		},
	},
	{
		Name: "twice",
		Text: `[[user]]
name = "a"
hash = "sha256:0100000000000000000000000000000000000000000000000000000000000000"
created = 2026-01-31T12:00:00Z
[[user]]
name = "a"
hash = "sha256:0100000000000000000000000000000000000000000000000000000000000000"
created = 2026-01-31T12:00:00Z
`,
		Want: []string{
			`f.toml:6: user.name: "a" is already in line 2: remove one of them`,
		},
	},
	{
		Name: "unknown",
		Text: `[[user]]
name = "a"
hash = "sha256:0100000000000000000000000000000000000000000000000000000000000000"
created = 2026-01-31T12:00:00Z
token = "secret"
[[users]]
`,
		Want: []string{
			"f.toml:5: user.token: unknown key; the keys here are created, disabled, hash, max_connections, name, serial",
			`f.toml:6: users: unknown table; did you mean "user"?`,
		},
	},
}
