package config

import "mpproxy/config/configtest"

var serverMistakes = []configtest.Mistake{
	{
		Name: "modes",
		Text: `[modes.interactive]
rtt_hold = "1s"
[modes.aggregate]
guard_loss = 0.5
join_patience = "1s"
hold_mx = "1m"
[[rule]]
mode = "single"
`,
		Want: []string{
			`f.toml:2: modes.interactive.rtt_hold: the client decides about this: it belongs in the file of mpproxy-client`,
			`f.toml:4: modes.aggregate.guard_loss: 0.5 does not fit the mode's other numbers: use at most loss_threshold`,
			`f.toml:5: modes.aggregate.join_patience: the client decides about this: it belongs in the file of mpproxy-client`,
			`f.toml:6: modes.aggregate.hold_mx: unknown key; did you mean "hold_max"?`,
			`f.toml:7: rule: unknown table here; "rule" belongs in the file of mpproxy-client: is this the right file?`,
		},
	},
	{
		Name: "misspelt",
		Text: `lisen = []
[limits]
max_conections_per_user = 1
[anounce]
`,
		Want: []string{
			`f.toml:1: lisen: unknown key; did you mean "listen"?`,
			`f.toml:3: limits.max_conections_per_user: unknown key; did you mean "max_connections_per_user"?`,
			`f.toml:4: anounce: unknown table; did you mean "announce"?`,
		},
	},
	{
		Name: "client's keys",
		Text: `link = "mpproxy://a:b@c:1"
[socks]
listen = []
`,
		Want: []string{
			`f.toml:1: link: unknown key here; "link" belongs in the file of mpproxy-client: is this the right file?`,
			`f.toml:2: socks: unknown table here; "socks" belongs in the file of mpproxy-client: is this the right file?`,
		},
	},
	{
		Name: "public",
		Text: `public = "proxy.example.net"
`,
		Want: []string{
			`f.toml:1: public: "proxy.example.net": the port is missing: write HOST:PORT`,
		},
	},
	{
		Name: "security",
		Text: `security = "TLS"
`,
		Want: []string{
			`f.toml:1: security: "TLS" is not allowed here: use "tls" or "none"`,
		},
	},
	{
		Name: "files",
		Text: `certificate = ""
key = "a\u0000b"
users = ["a"]
`,
		Want: []string{
			`f.toml:1: certificate: the file name is empty: give a path; the default is "server.crt"`,
			`f.toml:2: key: "a\x00b" is no file name: it contains a zero byte`,
			"f.toml:3: users: expected a string in quotes, found a list [a]",
		},
	},
	{
		Name: "destinations",
		Text: `[destinations]
allow = ["10.0.0.1/8", "10.1.2.3", "example.net"]
deny = [
"::ffff:10.0.0.0/100",
"fd00::/8", "fd00::/8"]
`,
		Want: []string{
			`f.toml:2: destinations.allow: "10.0.0.1/8" has bits set behind its length: write "10.0.0.0/8" for the block or "10.0.0.1" for the one address`,
			`f.toml:2: destinations.allow: "example.net" is no address block: write ADDRESS/LENGTH, such as "10.0.0.0/8" or "fd00::/8", or one address`,
			`f.toml:4: destinations.deny: "::ffff:10.0.0.0/100" is no address block: write ADDRESS/LENGTH, such as "10.0.0.0/8" or "fd00::/8", or one address`,
			`f.toml:5: destinations.deny: "fd00::/8" is listed twice`,
		},
	},
	{
		Name: "destination ports",
		Text: "[destinations]\nports = []\n",
		Want: []string{`f.toml:2: destinations.ports: an empty list lets nobody connect to anything: leave the line out, or list ports such as [443, "1024-65535"]`},
	},
	{
		Name: "a destination port",
		Text: "[destinations]\nports = [25, \"80-22\"]\n",
		Want: []string{`f.toml:2: destinations.ports: "80-22" is no port: write a number from 1 to 65535, or a range in quotes such as "5060-5061", the lower one first`},
	},
	{
		Name: "announce",
		Text: `[announce]
addresses = "192.0.2.1"
`,
		Want: []string{
			`f.toml:2: announce.addresses: "192.0.2.1" is not allowed here: write "auto", "none" or a list of addresses such as ["192.0.2.1", "2001:db8::1"]`,
		},
	},
	{
		Name: "announce list",
		Text: `[announce]
addresses = ["192.0.2.1",
 "192.0.2.1", "0.0.0.0", "fe80::1", "x"]
`,
		Want: []string{
			`f.toml:3: announce.addresses: "192.0.2.1" is listed twice`,
			`f.toml:3: announce.addresses: "0.0.0.0" cannot be announced: give a unicast address that clients reach`,
			`f.toml:3: announce.addresses: "fe80::1" cannot be announced: give a unicast address that clients reach`,
			`f.toml:3: announce.addresses: "x" is no IP address: write "auto", "none" or a list of addresses such as ["192.0.2.1", "2001:db8::1"]`,
		},
	},
	{
		Name: "announce number",
		Text: `[announce]
addresses = 4
`,
		Want: []string{
			`f.toml:2: announce.addresses: expected a string or a list of strings such as "auto", "none" or ["192.0.2.1"], found a number 4`,
		},
	},
	{
		Name: "limits",
		Text: `[limits]
max_connections_per_user = 2000000
auth_failure_delay = "2m"
handshake_timeout = "0"
`,
		Want: []string{
			"f.toml:2: limits.max_connections_per_user: 2000000 is out of range: allowed is 0 to 1000000",
			`f.toml:3: limits.auth_failure_delay: "2m" is out of range: allowed is 1ms to 1m, or "0" for none`,
			`f.toml:4: limits.handshake_timeout: "0" is out of range: allowed is 100ms to 10m`,
		},
	},
}
