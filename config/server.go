package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"mpproxy/config/credential"
	"mpproxy/config/joinlink"
	"mpproxy/config/tomlfile"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
	"mpproxy/proxy"
	"mpproxy/proxy/egress/destination"
	"mpproxy/proxy/rules"
)

// Server is the configuration of mpproxy-server. File names are absolute or
// relative to the working directory.
type Server struct {
	Listen       []netip.AddrPort  // at least one; port 0 lets the kernel choose
	Public       joinlink.HostPort // what clients connect to, for links; zero when not set
	Security     joinlink.Security
	Certificate  string // PEM file; for joinlink.SecurityTLS
	Key          string // PEM file; for joinlink.SecurityTLS
	Users        string // users file
	TokenKey     string // file of the key that tokens are derived from
	Mode         string // of connections whose user name asks for none: the name of one of Modes
	PathManager  PathManager
	Destinations Destinations
	Limits       ServerLimits
	Announce     Announce
	Modes        []policy.Spec // the built-in ones, and behind them the operator's by name
	Admin        ServerAdmin
	Log          Log
	Warnings     []string // findings that do not keep the program from running
}

// Destinations changes which destinations are refused. By default addresses that are
// not globally reachable are, the networks of the host's interfaces, and port 25. Deny
// wins over Allow; Ports holds for all addresses.
type Destinations struct {
	Allow []netip.Prefix    // exceptions from what is refused by default
	Deny  []netip.Prefix    // refused in addition
	Ports []rules.PortRange // that may be connected to
}

// ServerLimits are Limits and what only the server has.
type ServerLimits struct {
	Limits
	Strangers
	MaxConnectionsPerUser int           // 1 to 1,000,000; 0 means no limit but MaxConnections
	HandshakeTimeout      time.Duration // from accept to the end of the request: 100 ms to 10 min
	AuthFailureDelay      time.Duration // before a failed authentication is answered: 1 ms to 1 min; 0 means none
}

// Announce says which of the server's addresses are announced to clients with
// ADD_ADDR (RFC 8684 §3.4.1), so that they can open subflows to them: over the
// other address family, for example.
type Announce struct {
	Auto      bool         // all global addresses of the host
	Addresses []netip.Addr // these; empty with Auto, and when nothing is announced
}

// DefaultServer returns the configuration of an empty file called server.toml
// in the working directory.
func DefaultServer() Server {
	limits := commonLimits
	limits.ConnectTimeout = 15 * time.Second // SYNs at 0, 1, 3, 7 s and time for the last answer
	limits.IdleLegs = maxIdleLegs
	limits.DrainTimeout = 30 * time.Second
	return Server{
		Listen:       []netip.AddrPort{netip.MustParseAddrPort("[::]:8443")},
		Security:     joinlink.SecurityTLS,
		Certificate:  "server.crt",
		Key:          "server.key",
		Users:        "users.toml",
		TokenKey:     "token.key",
		Mode:         string(mode.Default),
		PathManager:  PathManagerUserSpace,
		Modes:        policy.BuiltIn(),
		Destinations: Destinations{Ports: destination.DefaultPorts},
		Limits: ServerLimits{
			Limits:                limits,
			Strangers:             defaultStrangers,
			MaxConnectionsPerUser: 1024,
			HandshakeTimeout:      10 * time.Second,
			AuthFailureDelay:      time.Second,
		},
		Announce: Announce{Auto: true},
		Log:      Log{Format: LogText},
	}
}

type rawServer struct {
	Listen       tomlfile.Field[[]tomlfile.Element] `toml:"listen" example:"[\"[::]:8443\"]"`
	Public       tomlfile.Field[string]             `toml:"public"`
	Security     tomlfile.Field[string]             `toml:"security"`
	Certificate  tomlfile.Field[string]             `toml:"certificate"`
	Key          tomlfile.Field[string]             `toml:"key"`
	Users        tomlfile.Field[string]             `toml:"users"`
	TokenKey     tomlfile.Field[string]             `toml:"token_key"`
	Mode         tomlfile.Field[string]             `toml:"mode" table:"modes.NAME"`
	PathManager  tomlfile.Field[string]             `toml:"path_manager"`
	Destinations rawDestinations                    `toml:"destinations"`
	Limits       rawServerLimits                    `toml:"limits"`
	Announce     rawAnnounce                        `toml:"announce"`
	Modes        serverModes                        `toml:"modes"`
	Admin        rawAdmin                           `toml:"admin"`
	Log          rawLog                             `toml:"log"`
}

type rawDestinations struct {
	Allow tomlfile.Field[[]tomlfile.Element] `toml:"allow" example:"[\"10.0.0.0/8\"]"`
	Deny  tomlfile.Field[[]tomlfile.Element] `toml:"deny" example:"[\"198.51.100.0/24\"]"`
	Ports tomlfile.Field[[]tomlfile.Item]    `toml:"ports" example:"[\"1-65535\"]"`
}

type rawServerLimits struct {
	rawLimits
	rawStrangers
	MaxConnectionsPerUser tomlfile.Field[int64]  `toml:"max_connections_per_user"`
	HandshakeTimeout      tomlfile.Field[string] `toml:"handshake_timeout" example:"\"10s\""`
	AuthFailureDelay      tomlfile.Field[string] `toml:"auth_failure_delay" example:"\"1s\""`
}

type rawAnnounce struct {
	Addresses tomlfile.Field[tomlfile.Word] `toml:"addresses" example:"\"auto\", \"none\" or [\"192.0.2.1\"]"`
}

// ParseServer reads the text of a server file; filename is for messages, and
// relative paths start at its directory. The error, if any, is of type Errors
// and holds every mistake.
func ParseServer(data []byte, filename string) (Server, error) {
	var raw rawServer
	r, ok := tomlfile.Parse(string(data), filename, &raw, tomlfile.Program{Name: "mpproxy-client", Schema: rawClient{}})
	if !ok {
		return Server{}, r.Mistakes.OrNil()
	}
	c := check{tomlfile.Checker{Report: r}, filepath.Dir(filename)}
	s := c.server(raw)
	if err := r.Mistakes.OrNil(); err != nil {
		return Server{}, err
	}
	s.Warnings = s.findings(raw)
	return s, nil
}

func (c check) server(raw rawServer) Server {
	d := DefaultServer()
	modes := c.modes(raw.Modes.rawModes, policy.Concentrator)
	return Server{
		Listen:      c.listen(raw.Listen, d.Listen),
		Public:      c.public(raw.Public),
		Security:    tomlfile.OneOf(c.Checker, raw.Security, d.Security, joinlink.SecurityTLS, joinlink.SecurityNone),
		Certificate: c.path(raw.Certificate, d.Certificate),
		Key:         c.path(raw.Key, d.Key),
		Users:       c.path(raw.Users, d.Users),
		TokenKey:    c.path(raw.TokenKey, d.TokenKey),
		Mode:        c.modeName(raw.Mode, d.Mode, modes),
		Modes:       modes,
		PathManager: c.pathManager(raw.PathManager),
		Destinations: Destinations{
			Allow: c.prefixes(raw.Destinations.Allow),
			Deny:  c.prefixes(raw.Destinations.Deny),
			Ports: c.destinationPorts(raw.Destinations.Ports, d.Destinations.Ports),
		},
		Limits: ServerLimits{
			Limits:                c.limits(raw.Limits.rawLimits, d.Limits.Limits),
			Strangers:             c.strangers(raw.Limits.rawStrangers, d.Limits.Strangers),
			MaxConnectionsPerUser: c.Number(raw.Limits.MaxConnectionsPerUser, d.Limits.MaxConnectionsPerUser, 0, maxConnectionsLimit),
			HandshakeTimeout:      c.Duration(raw.Limits.HandshakeTimeout, d.Limits.HandshakeTimeout, handshakeSpan),
			AuthFailureDelay:      c.Duration(raw.Limits.AuthFailureDelay, d.Limits.AuthFailureDelay, delaySpan),
		},
		Announce: c.announce(raw.Announce.Addresses, d.Announce),
		Admin:    ServerAdmin{Socket: c.adminSocket(raw.Admin.Socket), HTTP: c.adminHTTP(raw.Admin.HTTP)},
		Log:      c.log(raw.Log, d.Log),
	}
}

func (c check) public(f tomlfile.Field[string]) joinlink.HostPort {
	if !f.IsSet {
		return joinlink.HostPort{}
	}
	hp, err := joinlink.ParseHostPort(f.Value)
	if err != nil {
		c.At(f.Mark, "%q: %v", f.Value, err)
	}
	return hp
}

// destinationPorts reads the ports of destinations.
func (c check) destinationPorts(f tomlfile.Field[[]tomlfile.Item], otherwise []rules.PortRange) []rules.PortRange {
	if !f.IsSet {
		return otherwise
	}
	if len(f.Value) == 0 {
		c.At(f.Mark, "an empty list lets nobody connect to anything: leave the line out, or list ports such as [443, \"1024-65535\"]")
	}
	return c.ports(f)
}

// prefixes reads CIDR blocks; an address alone is a block of one.
func (c check) prefixes(f tomlfile.Field[[]tomlfile.Element]) (out []netip.Prefix) {
	for _, e := range f.Value {
		p, err := ParsePrefix(e.Value)
		switch {
		case err != nil:
			c.At(e.Mark, "%v", err)
		case slices.Contains(out, p):
			c.At(e.Mark, "%q is listed twice", e.Value)
		default:
			out = append(out, p)
		}
	}
	return out
}

// ParsePrefix reads an address block, "10.0.0.0/8", or an address, "10.1.2.3",
// which is a block of one. Bits behind the prefix length must be zero: a typing
// mistake there would allow more than was meant.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is no address block: write ADDRESS/LENGTH, such as \"10.0.0.0/8\" or \"fd00::/8\", or one address", s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has bits set behind its length: write %q for the block or %q for the one address", s, p.Masked(), p.Addr())
	}
	return p, nil
}

func (c check) announce(f tomlfile.Field[tomlfile.Word], otherwise Announce) (out Announce) {
	const want = `write "auto", "none" or a list of addresses such as ["192.0.2.1", "2001:db8::1"]`
	switch {
	case !f.IsSet:
		return otherwise
	case !f.Value.IsList && f.Value.Single == "auto":
		return Announce{Auto: true}
	case !f.Value.IsList && f.Value.Single == "none":
		return Announce{}
	case !f.Value.IsList:
		c.At(f.Mark, "%q is not allowed here: %s", f.Value.Single, want)
	}
	for _, e := range f.Value.List {
		a, err := netip.ParseAddr(e.Value)
		switch {
		case err != nil || a.Zone() != "":
			c.At(e.Mark, "%q is no IP address: %s", e.Value, want)
		case a.Is4In6() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast():
			c.At(e.Mark, "%q cannot be announced: give a unicast address that clients reach", e.Value)
		case slices.Contains(out.Addresses, a):
			c.At(e.Mark, "%q is listed twice", e.Value)
		default:
			out.Addresses = append(out.Addresses, a)
		}
	}
	return out
}

// Link makes the link of a user. It needs Public; pin is ignored without TLS, and
// name, what the user's programs call this server, may be empty.
func (s Server) Link(user string, token credential.Secret, pin proxy.Pin, name string) (joinlink.Link, error) {
	if s.Public.IsZero() {
		return joinlink.Link{}, &tomlfile.Error{Key: "public", Message: "is not set, so the link would lead nowhere: set public = \"HOST:PORT\" in the server's file, the name and port that clients reach"}
	}
	l := joinlink.Link{User: user, Token: token, Host: s.Public.Host, Port: s.Public.Port, Security: s.Security, Name: name}
	if s.Security == joinlink.SecurityTLS {
		l.Pin = pin
	}
	return joinlink.Parse(l.URL()) // checks the parts
}

// findings are worth a warning, not an error.
func (s Server) findings(raw rawServer) (warnings []string) {
	warnings = adminFindings(s.Admin.HTTP)
	if s.Security != joinlink.SecurityNone {
		return warnings
	}
	if raw.Certificate.IsSet || raw.Key.IsSet {
		warnings = append(warnings, `certificate and key have no effect with security = "none"`)
	}
	for _, l := range s.Listen {
		if !l.Addr().IsLoopback() {
			warnings = append(warnings, fmt.Sprintf("%v is reached without TLS: who is on the way reads tokens and traffic; use security = \"none\" on private access networks only", l))
		}
	}
	return warnings
}

// LoadServer reads the file at path. Errors are as ParseServer's; a file that
// cannot be read gives an error for which errors.Is finds fs.ErrNotExist or
// fs.ErrPermission. CheckFiles looks at the files that it names.
func LoadServer(path string) (Server, error) {
	data, _, err := tomlfile.ReadFile(path, maxConfigFile)
	if err != nil {
		return Server{}, err
	}
	return ParseServer(data, path)
}

// CheckFiles looks at the files that the configuration names: all must be there
// and readable. It returns a warning for each secret one that others may read.
// The error is of type Errors.
func (s Server) CheckFiles() (warnings []string, err error) {
	var r tomlfile.Report
	look := func(key, path string, secret bool) {
		info, err := tomlfile.Probe(path)
		if err != nil {
			r.At(tomlfile.Mark{Key: key}, "%v", err)
		} else if w := tomlfile.ExposedWarning(path, info); secret && w != "" {
			warnings = append(warnings, w)
		}
	}
	if s.Security == joinlink.SecurityTLS {
		look("certificate", s.Certificate, false)
		look("key", s.Key, true)
	}
	look("users", s.Users, true)
	look("token_key", s.TokenKey, true)
	return warnings, r.Mistakes.OrNil()
}
