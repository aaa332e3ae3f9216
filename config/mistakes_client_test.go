package config

import "mpproxy/config/configtest"

const (
	allModes = `"aggregate", "handover", "interactive", "lazy", "streaming", "refresh", "backup", "ndiffports", "single" or "calls"`
	noPort   = ` is no port: write a number from 1 to 65535, or a range in quotes such as "5060-5061", the lower one first`
)

// clientMistakes are values that the client cannot use.
var clientMistakes = []configtest.Mistake{
	{
		Name: "modes",
		Text: `[mode.handover]
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
		Want: []string{
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
		Name: "rules",
		Text: `mode = "cals"
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
		Want: []string{
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
		Name: "rule for a user that there is not",
		Text: `[[socks.user]]
name = "alice"
password = "x"
[[rule]]
users = ["alcie"]
mode = "single"
`,
		Want: []string{
			`f.toml:5: rule.users: there is no [[socks.user]] "alcie"; did you mean "alice"?`,
		},
	},
	{
		Name: "number outside its mode",
		Text: `rto_threshold = "1s"
`,
		Want: []string{
			`f.toml:1: rto_threshold: unknown key here; "rto_threshold" belongs in [modes.NAME]`,
		},
	},
	{
		Name: "bad link",
		Text: `
link = "mpproxy://alice:Tok-en_1@h:8443?pin=AAEC"
`,
		Want: []string{
			"f.toml:2: link: pin: must be the 43 base64url characters of a SHA-256, but has 4: perhaps the link was cut off when it was copied",
		},
	},
	{
		Name: "unknown path manager",
		Text: `path_manager = "kernal"
`,
		Want: []string{
			`f.toml:1: path_manager: "kernal" is not allowed here: use "userspace" or "kernel"; did you mean "kernel"?`,
		},
	},
	{
		Name: "listeners",
		Text: `[socks]
listen = [
 "127.0.0.1:1080",
 "localhost:1080", # no
 "127.0.0.1:1080",
 "127.0.0.1:70000"]
`,
		Want: []string{
			`f.toml:4: socks.listen: "localhost:1080" is no address to listen on: write ADDRESS:PORT with a numeric address and a port from 0 to 65535, such as "127.0.0.1:1080" or "[::1]:1080"`,
			`f.toml:5: socks.listen: "127.0.0.1:1080" is listed twice`,
			`f.toml:6: socks.listen: "127.0.0.1:70000" is no address to listen on: write ADDRESS:PORT with a numeric address and a port from 0 to 65535, such as "127.0.0.1:1080" or "[::1]:1080"`,
		},
	},
	{
		Name: "listener is no list",
		Text: `[socks]
listen = "127.0.0.1:1080"
`,
		Want: []string{
			`f.toml:2: socks.listen: expected a list of strings such as ["127.0.0.1:1080"], found a string "127.0.0.1:1080"`,
		},
	},
	{
		Name: "no listener",
		Text: `[socks]
listen = []
`,
		Want: []string{
			`f.toml:2: socks.listen: the list is empty: give at least one address, such as "127.0.0.1:1080"`,
		},
	},
	{
		Name: "open listener",
		Text: `[socks]
listen = ["127.0.0.1:1", "0.0.0.0:1080"]
`,
		Want: []string{
			`f.toml:2: socks.listen: "0.0.0.0:1080" is open to other hosts and there are no users: add [[socks.user]] with name and password, or say allow_open = true below [socks] if everybody who reaches it may use it`,
		},
	},
	{
		Name: "users who are never asked",
		Text: `[socks]
ask = false
[[socks.user]]
name = "a"
password = "b"
`,
		Want: []string{
			`f.toml:2: socks.ask: there are users, who have to be asked for their passwords: remove it, or every [[socks.user]]`,
		},
	},
	{
		Name: "socks users",
		Text: `[[socks.user]]
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
		Want: []string{
			`f.toml:2: socks.user.name: the user name "a+b" must not contain '+' (it separates the mode) or ':' (it separates the token)`,
			"f.toml:3: socks.user.password: the password has 0 bytes: allowed is 1 to 255",
			`f.toml:4: socks.user: the user has no name: add name = "…"`,
			`f.toml:4: socks.user: the user has no password: add password = "…"`,
			"f.toml:7: socks.user.password: expected a string in quotes, found a number",
			`f.toml:9: socks.user.name: "bob" is already in line 6: give each user one [[socks.user]]`,
		},
	},
	{
		Name: "paths",
		Text: `[[path]]
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
		Want: []string{
			`f.toml:2: path.interface: "wlan[" is not a pattern: '[' needs its ']' and '\' something behind it; use names such as "wlan0" or patterns such as "wlan*"`,
			`f.toml:3: path.name: "my wifi" is not a path name: allowed are 1 to 32 letters, digits, '.', '_' and '-'`,
			`f.toml:5: path.interface: "averyverylonginterface" cannot match an interface: interface names have 1 to 15 characters without '/', ':' and space`,
			`f.toml:8: path.interface: "averyverylonginterface" cannot match an interface: interface names have 1 to 15 characters without '/', ':' and space`,
			`f.toml:9: path.name: "a" is already in line 6: give each path a name of its own`,
			"f.toml:10: path.rank: 0 is out of range: allowed is 1 to 255",
		},
	},
	{
		Name: "durations",
		Text: `[limits]
idle_timeout = "5"
max_lifetime = "-1s"
half_close_timeout = "1ms"
connect_timeout = "0"
drain_timeout = "2h"
[socks]
handshake_timeout = "soon"
`,
		Want: []string{
			`f.toml:2: limits.idle_timeout: "5" is not a duration: write a number and a unit (ms, s, m, h), such as "500ms" or "1m30s"; allowed is 1s to 8760h, or "0" for none`,
			`f.toml:3: limits.max_lifetime: "-1s" is out of range: allowed is 1s to 8760h, or "0" for none`,
			`f.toml:4: limits.half_close_timeout: "1ms" is out of range: allowed is 1s to 8760h, or "0" for none`,
			`f.toml:5: limits.connect_timeout: "0" is out of range: allowed is 100ms to 10m`,
			`f.toml:6: limits.drain_timeout: "2h" is out of range: allowed is 1ms to 1h, or "0" for none`,
			`f.toml:8: socks.handshake_timeout: "soon" is not a duration: write a number and a unit (ms, s, m, h), such as "500ms" or "1m30s"; allowed is 100ms to 10m`,
		},
	},
	{
		Name: "sizes",
		Text: `[limits]
receive_buffer = "8 Mib"
`,
		Want: []string{
			`f.toml:2: limits.receive_buffer: "8 Mib" is not a size: write a whole number and a unit, such as "512KiB" or "8MiB"; allowed is 64KiB to 512MiB, or "0" for the kernel's own choice`,
		},
	},
	{
		Name: "size out of range",
		Text: `[limits]
receive_buffer = "1KiB"
`,
		Want: []string{
			`f.toml:2: limits.receive_buffer: "1KiB" is out of range: allowed is 64KiB to 512MiB, or "0" for the kernel's own choice`,
		},
	},
	{
		Name: "size without a number",
		Text: `[limits]
receive_buffer = "MiB"
`,
		Want: []string{
			`f.toml:2: limits.receive_buffer: "MiB" is not a size: write a whole number and a unit, such as "512KiB" or "8MiB"; allowed is 64KiB to 512MiB, or "0" for the kernel's own choice`,
		},
	},
	{
		Name: "log",
		Text: `[log]
level = "warning"
format = "xml"
`,
		Want: []string{
			`f.toml:2: log.level: "warning" is not allowed here: use "debug", "info", "warn" or "error"`,
			`f.toml:3: log.format: "xml" is not allowed here: use "text" or "json"`,
		},
	},
	{
		Name: "socket path",
		Text: `[admin]
socket = "/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789/client.sock"
`,
		Want: []string{
			`f.toml:2: admin.socket: the path "/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789/client.sock" has 113 bytes: a Unix socket's may have at most 107`,
		},
	},
}
