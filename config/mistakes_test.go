package config

const (
	allModes = `"aggregate", "handover", "interactive", "lazy", "streaming", "refresh", "backup", "ndiffports", "single" or "calls"`
	noPort   = ` is no port: write a number from 1 to 65535, or a range in quotes such as "5060-5061", the lower one first`
)

var clientMistakes = []mistake{
	{
		"misspelt key",
		"mod = 1\n",
		[]string{
			`f.toml:1: mod: unknown key; did you mean "mode"?`,
		},
	},
	{
		"all at once, in the order of lines",
		`mode = "agregate"
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
		[]string{
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
		"key in another case",
		`Mode = "single"
`,
		[]string{
			`f.toml:1: Mode: unknown key; did you mean "mode"?`,
		},
	},
	{
		"key below the wrong table",
		`[socks]
listen = ["127.0.0.1:1080"]
idle_timeout = "1m"
`,
		[]string{
			`f.toml:3: socks.idle_timeout: unknown key here; "idle_timeout" belongs in [limits]`,
		},
	},
	{
		"key above its table",
		`receive_buffer = "1MiB"
`,
		[]string{
			`f.toml:1: receive_buffer: unknown key here; "receive_buffer" belongs in [limits]`,
		},
	},
	{
		"unknown table",
		`[rules]
ports = [22]
[paths]
`,
		[]string{
			`f.toml:1: rules: unknown table; did you mean "rule"?`,
			`f.toml:3: paths: unknown table; did you mean "path"?`,
		},
	},
	{
		"modes",
		`[mode.handover]
rto_threshold = "1s"
[modes.handovr]
rto_threshold = "1s"
[modes.handover]
rto_treshold = "1s"
block = "1MB"
hold = 500
stall_rtts = "2"
stall_burst = 2.5
rto_threshold = "1ms"
zebra = 1
base = "single"
[modes.calls]
base = "interctive"
[modes.video]
base = 7
[modes.Calls]
base = "interactive"
[modes.slow]
base = "streaming"
period = "400ms"
loss_threshold = 0.02
[modes]
fast = 1
`,
		[]string{
			`f.toml:1: mode: expected a string in quotes, found a table; the table is called [modes.NAME]`,
			`f.toml:3: modes.handovr: no mode has this name, and one of your own needs a base: add base = "…", one of the built-in modes; did you mean "handover"?`,
			`f.toml:6: modes.handover.rto_treshold: unknown key; did you mean "rto_threshold"?`,
			`f.toml:7: modes.handover.block: "handover" does not use this number: it is one of streaming`,
			`f.toml:8: modes.handover.hold: expected a duration in quotes such as "8s", found a number 500`,
			`f.toml:9: modes.handover.stall_rtts: expected a number such as 2, found a string "2"`,
			`f.toml:10: modes.handover.stall_burst: expected a whole number such as 5, found a number 2.5`,
			`f.toml:11: modes.handover.rto_threshold: "1ms" is not allowed: use 100ms to 2m`,
			`f.toml:12: modes.handover.zebra: unknown key; the keys of a mode with the base "handover" are base, stall_timeout, stall_rtts, stall_burst, stall_proof, rto_threshold, loss_threshold, loss_time, loss_advantage, probe_timeout, doubt_rate, join_timeout, join_patience, hold, hold_max, forgive, max_subflows, return_after, linger`,
			`f.toml:13: modes.handover.base: "handover" is built in: it has no base; give a mode of your own another name`,
			`f.toml:15: modes.calls.base: "interctive" is not allowed here: use "aggregate", "handover", "interactive", "lazy", "streaming", "refresh", "backup", "ndiffports" or "single"; did you mean "interactive"?`,
			`f.toml:17: modes.video.base: expected a string in quotes such as "handover", found a number 7`,
			`f.toml:18: modes.Calls: mode name "Calls": use 1 to 32 of a-z, 0-9 and '-', a letter first`,
			`f.toml:20: modes.slow.block_check: 500ms does not fit the mode's other numbers: use less than period`,
			`f.toml:25: modes.fast: expected a table, found a number 1: write [modes.fast] on a line of its own and its keys below`,
		},
	},
	{
		"rules",
		`mode = "cals"
[modes.calls]
base = "interactive"
[[rule]]
port = 22
[[rule]]
ports = [0,
  70000, "10-5", "x", 1.5, "1-2-3"]
hosts = ["192.0.2.1", "a.*.com"]
cidrs = ["192.0.2.1/24"]
listeners = ["127.0.0.1:1081", "x"]
users = ["handover", "a+b"]
mode = "callls"
paths = ["wifii", "lte", "lte"]
[[rule]]
name = "a b"
enforce = true
[[rule]]
name = "x"
mode = "single"
[[rule]]
name = "x"
paths = []
[[rule]]
ports = 22
modes = "single"
[[path]]
interface = "wlan0"
name = "wifi"
[[path]]
interface = "lte"
`,
		[]string{
			`f.toml:1: mode: "cals" is not allowed here: use ` + allModes + `; did you mean "calls"?`,
			`f.toml:4: rule: the rule changes nothing: add mode = "…", paths = ["…"] or both`,
			`f.toml:5: rule.port: unknown key; did you mean "ports"?`,
			`f.toml:7: rule.ports: 0` + noPort,
			`f.toml:8: rule.ports: 70000` + noPort,
			`f.toml:8: rule.ports: "10-5"` + noPort,
			`f.toml:8: rule.ports: "x"` + noPort,
			`f.toml:8: rule.ports: 1.5` + noPort,
			`f.toml:8: rule.ports: "1-2-3"` + noPort,
			`f.toml:9: rule.hosts: "192.0.2.1" is an address: write it in cidrs = ["192.0.2.1"]`,
			`f.toml:9: rule.hosts: host "a.*.com": use a name such as "example.com"; it matches what is below it, too`,
			`f.toml:10: rule.cidrs: "192.0.2.1/24" has bits set behind its length: write "192.0.2.0/24" for the block or "192.0.2.1" for the one address`,
			`f.toml:11: rule.listeners: "127.0.0.1:1081" is not listened on: the addresses in [socks] listen are ["127.0.0.1:1080"]; did you mean "127.0.0.1:1080"?`,
			`f.toml:11: rule.listeners: "x" is no address to listen on: write ADDRESS:PORT with a numeric address and a port from 0 to 65535, such as "127.0.0.1:1080" or "[::1]:1080"`,
			`f.toml:12: rule.users: "handover" is a mode: without [[socks.user]] a user name that is a mode asks for it; choose another name`,
			`f.toml:12: rule.users: the user name "a+b" must not contain '+' (it separates the mode) or ':' (it separates the token)`,
			`f.toml:13: rule.mode: "callls" is not allowed here: use ` + allModes + `; did you mean "calls"?`,
			`f.toml:14: rule.paths: there is no path "wifii": the paths are "wifi" and "lte"; did you mean "wifi"?`,
			`f.toml:14: rule.paths: "lte" is listed twice`,
			`f.toml:15: rule: the rule changes nothing: add mode = "…", paths = ["…"] or both`,
			`f.toml:16: rule.name: "a b" is not a rule's name: allowed are 1 to 32 letters, digits, '.', '_' and '-'`,
			`f.toml:17: rule.enforce: there is no mode to enforce: add mode = "…"; paths always hold`,
			`f.toml:22: rule.name: "x" is already in line 19: give each rule a name of its own`,
			`f.toml:23: rule.paths: the list is empty: name the paths that are allowed, the preferred one first, or remove the key`,
			`f.toml:24: rule: the rule changes nothing: add mode = "…", paths = ["…"] or both`,
			`f.toml:25: rule.ports: expected a list such as [22, "5060-5061"], found a number 22`,
			`f.toml:26: rule.modes: unknown key; did you mean "mode"?`,
		},
	},
	{
		"rule for a user that there is not",
		`[[socks.user]]
name = "alice"
password = "x"
[[rule]]
users = ["alcie"]
mode = "single"
`,
		[]string{
			`f.toml:5: rule.users: there is no [[socks.user]] "alcie"; did you mean "alice"?`,
		},
	},
	{
		"number outside its mode",
		`rto_threshold = "1s"
`,
		[]string{
			`f.toml:1: rto_threshold: unknown key here; "rto_threshold" belongs in [modes.NAME]`,
		},
	},
	{
		"dotted and quoted keys",
		`limits.idle_timeout = "1m"
limits."idle timeout" = 3
`,
		[]string{
			`f.toml:2: limits."idle timeout": unknown key; did you mean "idle_timeout"?`,
		},
	},
	{
		"inline table",
		`path = [{interface = "a"},
 {interface = "b", rnak = 1}]
`,
		[]string{
			`f.toml:2: path.rnak: unknown key; did you mean "rank"?`,
		},
	},
	{
		"path with one bracket",
		`[path]
interface = "a"
`,
		[]string{
			"f.toml:1: path: expected an array of tables, found a table: write [[path]] with two brackets on each side",
		},
	},
	{
		"table as a value",
		"limits = 3\n",
		[]string{
			"f.toml:1: limits: expected a table, found a number: write [limits] on a line of its own and its keys below",
		},
	},
	{
		"link without quotes",
		"link = mpproxy://alice:Tok-en_1@h:1\n",
		[]string{
			`f.toml:1: is not valid TOML: expected value but found "…" instead; text stands in quotes`,
		},
	},
	{
		"string not closed",
		`mode = "single
`,
		[]string{
			"f.toml:1: is not valid TOML: strings cannot contain newlines",
		},
	},
	{
		"key twice",
		`mode = "single"

mode = "lazy"
`,
		[]string{
			"f.toml:3: is not valid TOML: Key 'mode' has already been defined.",
		},
	},
	{
		"bad link",
		`
link = "mpproxy://alice:Tok-en_1@h:8443?pin=AAEC"
`,
		[]string{
			"f.toml:2: link: pin: must be the 43 base64url characters of a SHA-256, but has 4: perhaps the link was cut off when it was copied",
		},
	},
	{
		"unknown path manager",
		`path_manager = "kernal"
`,
		[]string{
			`f.toml:1: path_manager: "kernal" is not allowed here: use "userspace" or "kernel"; did you mean "kernel"?`,
		},
	},
	{
		"listeners",
		`[socks]
listen = [
 "127.0.0.1:1080",
 "localhost:1080", # no
 "127.0.0.1:1080",
 "127.0.0.1:70000"]
`,
		[]string{
			`f.toml:4: socks.listen: "localhost:1080" is no address to listen on: write ADDRESS:PORT with a numeric address and a port from 0 to 65535, such as "127.0.0.1:1080" or "[::1]:1080"`,
			`f.toml:5: socks.listen: "127.0.0.1:1080" is listed twice`,
			`f.toml:6: socks.listen: "127.0.0.1:70000" is no address to listen on: write ADDRESS:PORT with a numeric address and a port from 0 to 65535, such as "127.0.0.1:1080" or "[::1]:1080"`,
		},
	},
	{
		"listener is no list",
		`[socks]
listen = "127.0.0.1:1080"
`,
		[]string{
			`f.toml:2: socks.listen: expected a list of strings such as ["127.0.0.1:1080"], found a string "127.0.0.1:1080"`,
		},
	},
	{
		"list of the wrong type",
		`[socks]
listen = [1080]
`,
		[]string{
			`f.toml:2: socks.listen: expected a list of strings such as ["127.0.0.1:1080"], found a list [1080]`,
		},
	},
	{
		"no listener",
		`[socks]
listen = []
`,
		[]string{
			`f.toml:2: socks.listen: the list is empty: give at least one address, such as "127.0.0.1:1080"`,
		},
	},
	{
		"open listener",
		`[socks]
listen = ["127.0.0.1:1", "0.0.0.0:1080"]
`,
		[]string{
			`f.toml:2: socks.listen: "0.0.0.0:1080" is open to other hosts and there are no users: add [[socks.user]] with name and password, or say allow_open = true below [socks] if everybody who reaches it may use it`,
		},
	},
	{
		"users who are never asked",
		`[socks]
ask = false
[[socks.user]]
name = "a"
password = "b"
`,
		[]string{
			`f.toml:2: socks.ask: there are users, who have to be asked for their passwords: remove it, or every [[socks.user]]`,
		},
	},
	{
		"socks users",
		`[[socks.user]]
name = "a+b"
password = ""
[[socks.user]]
[[socks.user]]
name = "bob"
password = 12345678
[[socks.user]]
name = "bob"
password = "x"
`,
		[]string{
			`f.toml:2: socks.user.name: the user name "a+b" must not contain '+' (it separates the mode) or ':' (it separates the token)`,
			"f.toml:3: socks.user.password: the password has 0 bytes: allowed is 1 to 255",
			`f.toml:4: socks.user: the user has no name: add name = "…"`,
			`f.toml:4: socks.user: the user has no password: add password = "…"`,
			"f.toml:7: socks.user.password: expected a string in quotes, found a number",
			`f.toml:9: socks.user.name: "bob" is already in line 6: give each user one [[socks.user]]`,
		},
	},
	{
		"paths",
		`[[path]]
interface = "wlan["
name = "my wifi"
[[path]]
interface = "averyverylonginterface"
name = "a"
[[path]]
interface = "averyverylonginterface"
name = "a"
rank = 0
`,
		[]string{
			`f.toml:2: path.interface: "wlan[" is not a pattern: '[' needs its ']' and '\' something behind it; use names such as "wlan0" or patterns such as "wlan*"`,
			`f.toml:3: path.name: "my wifi" is not a path name: allowed are 1 to 32 letters, digits, '.', '_' and '-'`,
			`f.toml:5: path.interface: "averyverylonginterface" cannot match an interface: interface names have 1 to 15 characters without '/', ':' and space`,
			`f.toml:8: path.interface: "averyverylonginterface" cannot match an interface: interface names have 1 to 15 characters without '/', ':' and space`,
			`f.toml:9: path.name: "a" is already in line 6: give each path a name of its own`,
			"f.toml:10: path.rank: 0 is out of range: allowed is 1 to 255",
		},
	},
	{
		"durations",
		`[limits]
idle_timeout = "5"
max_lifetime = "-1s"
half_close_timeout = "1ms"
connect_timeout = "0"
drain_timeout = "2h"
[socks]
handshake_timeout = "soon"
`,
		[]string{
			`f.toml:2: limits.idle_timeout: "5" is not a duration: write a number and a unit (ms, s, m, h), such as "500ms" or "1m30s"; allowed is 1s to 8760h, or "0" for none`,
			`f.toml:3: limits.max_lifetime: "-1s" is out of range: allowed is 1s to 8760h, or "0" for none`,
			`f.toml:4: limits.half_close_timeout: "1ms" is out of range: allowed is 1s to 8760h, or "0" for none`,
			`f.toml:5: limits.connect_timeout: "0" is out of range: allowed is 100ms to 10m`,
			`f.toml:6: limits.drain_timeout: "2h" is out of range: allowed is 1ms to 1h, or "0" for none`,
			`f.toml:8: socks.handshake_timeout: "soon" is not a duration: write a number and a unit (ms, s, m, h), such as "500ms" or "1m30s"; allowed is 100ms to 10m`,
		},
	},
	{
		"sizes",
		`[limits]
receive_buffer = "8 Mib"
`,
		[]string{
			`f.toml:2: limits.receive_buffer: "8 Mib" is not a size: write a whole number and a unit, such as "512KiB" or "8MiB"; allowed is 64KiB to 512MiB, or "0" for the kernel's own choice`,
		},
	},
	{
		"size out of range",
		`[limits]
receive_buffer = "1KiB"
`,
		[]string{
			`f.toml:2: limits.receive_buffer: "1KiB" is out of range: allowed is 64KiB to 512MiB, or "0" for the kernel's own choice`,
		},
	},
	{
		"size without a number",
		`[limits]
receive_buffer = "MiB"
`,
		[]string{
			`f.toml:2: limits.receive_buffer: "MiB" is not a size: write a whole number and a unit, such as "512KiB" or "8MiB"; allowed is 64KiB to 512MiB, or "0" for the kernel's own choice`,
		},
	},
	{
		"log",
		`[log]
level = "warning"
format = "xml"
`,
		[]string{
			`f.toml:2: log.level: "warning" is not allowed here: use "debug", "info", "warn" or "error"`,
			`f.toml:3: log.format: "xml" is not allowed here: use "text" or "json"`,
		},
	},
	{
		"socket path",
		`[admin]
socket = "/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789/client.sock"
`,
		[]string{
			`f.toml:2: admin.socket: the path "/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789/client.sock" has 113 bytes: a Unix socket's may have at most 107`,
		},
	},
	{
		"nested too deep",
		"x = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
		[]string{
			"f.toml: arrays, inline tables or the parts of a key are nested more than 32 deep: nothing in this file needs that",
		},
	},
	{
		"wrong type of a secret",
		`link = 99999
[[socks.user]]
name = true
password = 12345678
`,
		[]string{
			"f.toml:1: link: expected a string in quotes, found a number",
			"f.toml:3: socks.user.name: expected a string in quotes, found the truth value true",
			"f.toml:4: socks.user.password: expected a string in quotes, found a number",
		},
	},
	{
		"password without quotes",
		`[[socks.user]]
name = "a"
password = hunter2
`,
		[]string{
			`f.toml:3: is not valid TOML: expected value but found "…" instead; text stands in quotes`,
		},
	},
	{
		"password without quotes, digits",
		`[[socks.user]]
name = "a"
password = 99999999999999999999
`,
		[]string{
			"f.toml:3: is not valid TOML: … is out of range for int64",
		},
	},
	{
		"user table at the top",
		`[[user]]
name = "a"
`,
		[]string{
			`f.toml:1: user: unknown table here; "user" belongs in [socks]`,
		},
	},
	{
		"table that is an inline value",
		`socks = [1]
path = [1]
`,
		[]string{
			"f.toml:1: socks: expected a table, found a list: write [socks] on a line of its own and its keys below",
			"f.toml:2: path: expected an array of tables, found a list: write [[path]] with two brackets on each side",
		},
	},
	{
		"server's keys",
		"public = \"a:1\"\n[destinations]\n",
		[]string{
			`f.toml:1: public: unknown key here; "public" belongs in the file of mpproxy-server: is this the right file?`,
			`f.toml:2: destinations: unknown table here; "destinations" belongs in the file of mpproxy-server: is this the right file?`,
		},
	},
	{
		"byte order mark",
		"\uFEFFmod = 1\n",
		[]string{
			`f.toml:1: mod: unknown key; did you mean "mode"?`,
		},
	},
	{
		"not text",
		"\x00\x01\x02",
		[]string{
			"f.toml:1: is not valid TOML: files cannot contain NULL bytes; probably using UTF-16; TOML files must be UTF-8",
		},
	},
	{
		"not UTF-8",
		"mode = \"\xff\"",
		[]string{
			"f.toml:1: is not valid TOML: invalid UTF-8 byte: 0xff",
		},
	},
	{
		"Windows line ends",
		"mode = \"single\"\r\n\r\nmod = 1\r\n",
		[]string{
			`f.toml:3: mod: unknown key; did you mean "mode"?`,
		},
	},
}

var serverMistakes = []mistake{
	{
		"modes",
		`[modes.interactive]
rtt_hold = "1s"
[modes.aggregate]
guard_loss = 0.5
join_patience = "1s"
hold_mx = "1m"
[[rule]]
mode = "single"
`,
		[]string{
			`f.toml:2: modes.interactive.rtt_hold: the client decides about this: it belongs in the file of mpproxy-client`,
			`f.toml:4: modes.aggregate.guard_loss: 0.5 does not fit the mode's other numbers: use at most loss_threshold`,
			`f.toml:5: modes.aggregate.join_patience: the client decides about this: it belongs in the file of mpproxy-client`,
			`f.toml:6: modes.aggregate.hold_mx: unknown key; did you mean "hold_max"?`,
			`f.toml:7: rule: unknown table here; "rule" belongs in the file of mpproxy-client: is this the right file?`,
		},
	},
	{
		"misspelt",
		`lisen = []
[limits]
max_conections_per_user = 1
[anounce]
`,
		[]string{
			`f.toml:1: lisen: unknown key; did you mean "listen"?`,
			`f.toml:3: limits.max_conections_per_user: unknown key; did you mean "max_connections_per_user"?`,
			`f.toml:4: anounce: unknown table; did you mean "announce"?`,
		},
	},
	{
		"client's keys",
		`link = "mpproxy://a:b@c:1"
[socks]
listen = []
`,
		[]string{
			`f.toml:1: link: unknown key here; "link" belongs in the file of mpproxy-client: is this the right file?`,
			`f.toml:2: socks: unknown table here; "socks" belongs in the file of mpproxy-client: is this the right file?`,
		},
	},
	{
		"public",
		`public = "proxy.example.net"
`,
		[]string{
			`f.toml:1: public: "proxy.example.net": the port is missing: write HOST:PORT`,
		},
	},
	{
		"security",
		`security = "TLS"
`,
		[]string{
			`f.toml:1: security: "TLS" is not allowed here: use "tls" or "none"`,
		},
	},
	{
		"files",
		`certificate = ""
key = "a\u0000b"
users = ["a"]
`,
		[]string{
			`f.toml:1: certificate: the file name is empty: give a path; the default is "server.crt"`,
			`f.toml:2: key: "a\x00b" is no file name: it contains a zero byte`,
			"f.toml:3: users: expected a string in quotes, found a list [a]",
		},
	},
	{
		"destinations",
		`[destinations]
allow = ["10.0.0.1/8", "10.1.2.3", "example.net"]
deny = [
"::ffff:10.0.0.0/100",
"fd00::/8", "fd00::/8"]
`,
		[]string{
			`f.toml:2: destinations.allow: "10.0.0.1/8" has bits set behind its length: write "10.0.0.0/8" for the block or "10.0.0.1" for the one address`,
			`f.toml:2: destinations.allow: "example.net" is no address block: write ADDRESS/LENGTH, such as "10.0.0.0/8" or "fd00::/8", or one address`,
			`f.toml:4: destinations.deny: "::ffff:10.0.0.0/100" is no address block: write ADDRESS/LENGTH, such as "10.0.0.0/8" or "fd00::/8", or one address`,
			`f.toml:5: destinations.deny: "fd00::/8" is listed twice`,
		},
	},
	{
		"destination ports",
		"[destinations]\nports = []\n",
		[]string{`f.toml:2: destinations.ports: an empty list lets nobody connect to anything: leave the line out, or list ports such as [443, "1024-65535"]`},
	},
	{
		"a destination port",
		"[destinations]\nports = [25, \"80-22\"]\n",
		[]string{`f.toml:2: destinations.ports: "80-22" is no port: write a number from 1 to 65535, or a range in quotes such as "5060-5061", the lower one first`},
	},
	{
		"announce",
		`[announce]
addresses = "192.0.2.1"
`,
		[]string{
			`f.toml:2: announce.addresses: "192.0.2.1" is not allowed here: write "auto", "none" or a list of addresses such as ["192.0.2.1", "2001:db8::1"]`,
		},
	},
	{
		"announce list",
		`[announce]
addresses = ["192.0.2.1",
 "192.0.2.1", "0.0.0.0", "fe80::1", "x"]
`,
		[]string{
			`f.toml:3: announce.addresses: "192.0.2.1" is listed twice`,
			`f.toml:3: announce.addresses: "0.0.0.0" cannot be announced: give a unicast address that clients reach`,
			`f.toml:3: announce.addresses: "fe80::1" cannot be announced: give a unicast address that clients reach`,
			`f.toml:3: announce.addresses: "x" is no IP address: write "auto", "none" or a list of addresses such as ["192.0.2.1", "2001:db8::1"]`,
		},
	},
	{
		"announce number",
		`[announce]
addresses = 4
`,
		[]string{
			`f.toml:2: announce.addresses: expected a string or a list of strings such as "auto", "none" or ["192.0.2.1"], found a number 4`,
		},
	},
	{
		"limits",
		`[limits]
max_connections_per_user = 2000000
auth_failure_delay = "2m"
handshake_timeout = "0"
`,
		[]string{
			"f.toml:2: limits.max_connections_per_user: 2000000 is out of range: allowed is 0 to 1000000",
			`f.toml:3: limits.auth_failure_delay: "2m" is out of range: allowed is 1ms to 1m, or "0" for none`,
			`f.toml:4: limits.handshake_timeout: "0" is out of range: allowed is 100ms to 10m`,
		},
	},
}

var usersMistakes = []mistake{
	{
		"empty user",
		"[[user]]\n",
		[]string{
			`f.toml:1: user: the user has no name: add name = "…"`,
			"f.toml:1: user: the user has no hash: it is \"sha256:\" and the 64 hexadecimal digits of the token's SHA-256, as `mpproxy-server user add` writes it",
			"f.toml:1: user: the user has no created: add the time of creation, such as created = 2026-01-31T12:00:00Z",
		},
	},
	{
		"values",
		`[[user]]
name = "a:b"
hash = "secret-token"
created = 2026-01-31
serial = 0
max_connections = -1
disabled = 1
`,
		[]string{
			`f.toml:2: user.name: the user name "a:b" must not contain '+' (it separates the mode) or ':' (it separates the token)`,
			"f.toml:3: user.hash: is not a hash: it must be \"sha256:\" and the 64 hexadecimal digits of the token's SHA-256, as `mpproxy-server user add` writes it",
			"f.toml:4: user.created: has no time zone: write a date and time such as 2026-01-31T12:00:00Z",
			"f.toml:5: user.serial: 0 is out of range: allowed is 1 to 2147483647",
			"f.toml:6: user.max_connections: -1 is out of range: allowed is 0 to 1000000",
			"f.toml:7: user.disabled: expected true or false, found a number 1",
		},
	},
	{
		"created",
		`[[user]]
name = "a"
hash = "sha256:00"
created = "2026-01-31"
[[user]]
name="b"
hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
created = 1969-12-31T12:00:00Z
`,
		[]string{
			"f.toml:3: user.hash: is not a hash: it must be \"sha256:\" and the 64 hexadecimal digits of the token's SHA-256, as `mpproxy-server user add` writes it",
			`f.toml:4: user.created: expected a date and time such as 2026-01-31T12:00:00Z, found a string "2026-01-31"`,
			"f.toml:7: user.hash: is not a hash: it must be \"sha256:\" and the 64 hexadecimal digits of the token's SHA-256, as `mpproxy-server user add` writes it",
			"f.toml:8: user.created: the year 1969 is out of range: allowed is 1970 to 9998",
		},
	},
	{
		"twice",
		`[[user]]
name = "a"
hash = "sha256:0100000000000000000000000000000000000000000000000000000000000000"
created = 2026-01-31T12:00:00Z
[[user]]
name = "a"
hash = "sha256:0100000000000000000000000000000000000000000000000000000000000000"
created = 2026-01-31T12:00:00Z
`,
		[]string{
			`f.toml:6: user.name: "a" is already in line 2: remove one of them`,
		},
	},
	{
		"unknown",
		`[[user]]
name = "a"
hash = "sha256:0100000000000000000000000000000000000000000000000000000000000000"
created = 2026-01-31T12:00:00Z
token = "secret"
[[users]]
`,
		[]string{
			"f.toml:5: user.token: unknown key; the keys here are created, disabled, hash, max_connections, name, serial",
			`f.toml:6: users: unknown table; did you mean "user"?`,
		},
	},
}
