package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"mpproxy/config/credential"
	"mpproxy/config/joinlink"
	"mpproxy/config/tomlfile"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
	"mpproxy/proxy/rules"
)

// Client is the configuration of mpproxy-client.
type Client struct {
	Link         joinlink.Link // zero when neither file nor flag gave one
	Mode         string        // of connections for which nothing else is asked: the name of one of Modes
	PathManager  PathManager
	RequireMPTCP bool // refuse an upstream leg that came up as plain TCP
	EarlyAnswer  bool // say "connected" at once where the destination was reached lately
	Socks        Socks
	Paths        []Path // empty: every usable interface
	Rules        rules.Rules
	Modes        []policy.Spec // the built-in ones, and behind them the user's by name
	Limits       Limits
	Admin        Admin
	Log          Log
	Warnings     []string // findings that do not keep the program from running
}

// Socks is the SOCKS5 front.
type Socks struct {
	Listen           []netip.AddrPort // at least one; port 0 lets the kernel choose
	AllowOpen        bool             // listen beyond loopback although there are no users
	Ask              bool             // for a user name, where the application offers one
	HandshakeTimeout time.Duration    // from accept to the end of the request: 100 ms to 10 min
	Users            []SocksUser      // empty: no authentication
}

// SocksUser is a local user of the SOCKS5 front.
type SocksUser struct {
	Name     string            // see CheckUserName
	Password credential.Secret // 1 to 255 bytes (RFC 1929 §2)
}

// DefaultClient returns the configuration of an empty file: everything but the
// link.
func DefaultClient() Client {
	limits := commonLimits
	limits.ConnectTimeout = 20 * time.Second // more than the server's, so that its answer arrives
	limits.IdleLegs = 32                     // more than a browser opens to one site at a time
	limits.DrainTimeout = 5 * time.Second
	return Client{
		Mode:        string(mode.Default),
		PathManager: PathManagerUserSpace,
		EarlyAnswer: true,
		Modes:       policy.BuiltIn(),
		Socks: Socks{
			Listen:           []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1080")},
			Ask:              true,
			HandshakeTimeout: 10 * time.Second,
		},
		Limits: limits,
		Log:    Log{Format: LogText},
	}
}

type rawClient struct {
	Link         tomlfile.Field[string] `toml:"link" secret:"yes"`
	Mode         tomlfile.Field[string] `toml:"mode" table:"modes.NAME"`
	PathManager  tomlfile.Field[string] `toml:"path_manager"`
	RequireMPTCP tomlfile.Field[bool]   `toml:"require_mptcp"`
	EarlyAnswer  tomlfile.Field[bool]   `toml:"early_answer"`
	Socks        rawSocks               `toml:"socks"`
	Paths        []rawPath              `toml:"path"`
	Rules        []rawRule              `toml:"rule"`
	Modes        clientModes            `toml:"modes"`
	Limits       rawLimits              `toml:"limits"`
	Admin        rawAdmin               `toml:"admin"`
	Log          rawLog                 `toml:"log"`
}

type rawSocks struct {
	Listen           tomlfile.Field[[]tomlfile.Element] `toml:"listen" example:"[\"127.0.0.1:1080\"]"`
	AllowOpen        tomlfile.Field[bool]               `toml:"allow_open"`
	Ask              tomlfile.Field[bool]               `toml:"ask"`
	HandshakeTimeout tomlfile.Field[string]             `toml:"handshake_timeout" example:"\"10s\""`
	Users            []rawSocksUser                     `toml:"user"`
}

type rawSocksUser struct {
	tomlfile.Mark
	Name     tomlfile.Field[string] `toml:"name"`
	Password tomlfile.Field[string] `toml:"password" secret:"yes"`
}

// ParseClient reads the text of a client file; filename is for messages, and
// relative paths start at its directory. The error, if any, is of type Errors
// and holds every mistake. The link may be absent: Validate wants one.
func ParseClient(data []byte, filename string) (Client, error) {
	var raw rawClient
	r, ok := tomlfile.Parse(string(data), filename, &raw, tomlfile.Program{Name: "mpproxy-server", Schema: rawServer{}})
	if !ok {
		return Client{}, r.Mistakes.OrNil()
	}
	c := check{tomlfile.Checker{Report: r}, filepath.Dir(filename)}
	client := c.client(raw)
	client.checkOpen(func(key, message string) {
		c.At(tomlfile.Mark{Key: key, Line: raw.Socks.Listen.Line}, "%s", message)
	})
	if err := r.Mistakes.OrNil(); err != nil {
		return Client{}, err
	}
	client.Warnings = append(adminFindings(client.Admin.HTTP), client.ruleFindings()...)
	return client, nil
}

func (c check) client(raw rawClient) Client {
	d := DefaultClient()
	modes := c.modes(raw.Modes.rawModes, policy.Client)
	client := Client{
		Link:         c.link(raw.Link),
		Mode:         c.modeName(raw.Mode, d.Mode, modes),
		PathManager:  c.pathManager(raw.PathManager),
		RequireMPTCP: raw.RequireMPTCP.Or(d.RequireMPTCP),
		EarlyAnswer:  raw.EarlyAnswer.Or(d.EarlyAnswer),
		Socks: Socks{
			Listen:           c.listen(raw.Socks.Listen, d.Socks.Listen),
			AllowOpen:        raw.Socks.AllowOpen.Or(d.Socks.AllowOpen),
			Ask:              raw.Socks.Ask.Or(d.Socks.Ask),
			HandshakeTimeout: c.Duration(raw.Socks.HandshakeTimeout, d.Socks.HandshakeTimeout, handshakeSpan),
			Users:            c.socksUsers(raw.Socks.Users),
		},
		Paths:  c.paths(raw.Paths),
		Modes:  modes,
		Limits: c.limits(raw.Limits, d.Limits),
		Admin:  Admin{Socket: c.adminSocket(raw.Admin.Socket), HTTP: c.adminHTTP(raw.Admin.HTTP)},
		Log:    c.log(raw.Log, d.Log),
	}
	if !client.Socks.Ask && len(client.Socks.Users) > 0 {
		c.At(raw.Socks.Ask.Mark, "there are users, who have to be asked for their passwords: remove it, or every [[socks.user]]")
	}
	client.Rules = c.rules(raw.Rules, client)
	return client
}

func (c check) link(f tomlfile.Field[string]) joinlink.Link {
	if !f.IsSet {
		return joinlink.Link{}
	}
	l, err := joinlink.Parse(f.Value)
	if err != nil {
		c.At(f.Mark, "%v", err) // never shows the value
	}
	return l
}

func (c check) socksUsers(raw []rawSocksUser) (users []SocksUser) {
	seen := map[string]int{}
	for _, u := range raw {
		name, password := u.Name.Value, u.Password.Value
		if u.Name.IsAbsent() {
			c.At(u.Mark, "the user has no name: add name = \"…\"")
		} else if err := credential.CheckUserName(name); err != nil && u.Name.IsSet {
			c.At(u.Name.Mark, "%v", err)
		} else if line, twice := seen[name]; twice && u.Name.IsSet {
			c.At(u.Name.Mark, "%q is already in line %d: give each user one [[socks.user]]", name, line)
		}
		seen[name] = u.Name.Line
		if u.Password.IsAbsent() {
			c.At(u.Mark, "the user has no password: add password = \"…\"")
		} else if u.Password.IsSet && (password == "" || len(password) > 255) {
			c.At(u.Password.Mark, "the password has %d bytes: allowed is 1 to 255", len(password))
		}
		users = append(users, SocksUser{name, credential.NewSecret(password)})
	}
	return users
}

// DefaultClientPath returns where join writes and run looks for the client's
// file: /etc/mpproxy/client.toml for root, else mpproxy/client.toml below
// $XDG_CONFIG_HOME or $HOME/.config. It is "" when neither is known.
func DefaultClientPath(uid int, getenv func(string) string) string {
	if uid == 0 {
		return "/etc/mpproxy/client.toml"
	}
	if dir := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "mpproxy", "client.toml")
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".config", "mpproxy", "client.toml")
	}
	return ""
}

// LoadClient reads the file at path. Errors are as ParseClient's; a file that
// cannot be read gives an error for which errors.Is finds fs.ErrNotExist or
// fs.ErrPermission. A file with secrets that others may read gives a warning.
func LoadClient(path string) (Client, error) {
	data, info, err := tomlfile.ReadFile(path, maxConfigFile)
	if err != nil {
		return Client{}, err
	}
	c, err := ParseClient(data, path)
	if err != nil {
		return Client{}, err
	}
	if w := tomlfile.ExposedWarning(path, info); w != "" && (!c.Link.Token.IsZero() || len(c.Socks.Users) > 0) {
		c.Warnings = append(c.Warnings, w)
	}
	return c, nil
}

// Validate checks what must hold once flags were merged into the file's values:
// there is a link, and no open listener without consent. The error is of type
// Errors, without file and lines.
func (c Client) Validate() error {
	var r tomlfile.Report
	add := func(key, message string) { r.At(tomlfile.Mark{Key: key}, "%s", message) }
	if c.Link.IsZero() {
		add("link", "there is none: run `mpproxy-client join` once, set link = \"mpproxy://…\" in the file, or give --link")
	}
	if len(c.Socks.Listen) == 0 {
		add("socks.listen", "there is no address to listen on")
	}
	c.checkOpen(add)
	c.checkRulePaths(add)
	return r.Mistakes.OrNil()
}

// checkOpen refuses an open relay: a listener that other hosts reach, without
// users.
func (c Client) checkOpen(add func(key, message string)) {
	if c.Socks.AllowOpen || len(c.Socks.Users) > 0 {
		return
	}
	for _, l := range c.Socks.Listen {
		if !l.Addr().IsLoopback() {
			add("socks.listen", fmt.Sprintf("%q is open to other hosts and there are no users: add [[socks.user]] with name and password, or say allow_open = true below [socks] if everybody who reaches it may use it", l))
		}
	}
}
