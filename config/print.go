package config

import (
	"io"

	"mpproxy/config/credential"
	"mpproxy/config/joinlink"
	"mpproxy/config/tomlfile"
)

// writer writes the tables that both programs' files have.
type writer struct{ tomlfile.Writer }

// Print writes the configuration in effect as TOML. Secrets show as REDACTED:
// the link's token and the passwords.
func (c Client) Print(w io.Writer) error {
	_, err := w.Write(c.encode(joinlink.Link.Redacted, credential.Secret.String))
	return err
}

func (c Client) encode(link func(joinlink.Link) string, secret func(credential.Secret) string) []byte {
	var w writer
	if !c.Link.IsZero() {
		w.Str("link", link(c.Link))
	}
	w.Str("mode", c.Mode)
	w.Str("path_manager", string(c.PathManager))
	w.Bool("require_mptcp", c.RequireMPTCP)
	w.Bool("early_answer", c.EarlyAnswer)
	w.Table("socks")
	w.Raw("listen", tomlfile.QuoteList(c.Socks.Listen))
	w.Bool("allow_open", c.Socks.AllowOpen)
	w.Bool("ask", c.Socks.Ask)
	w.Duration("handshake_timeout", c.Socks.HandshakeTimeout)
	for _, u := range c.Socks.Users {
		w.Tables("socks.user")
		w.Str("name", u.Name)
		w.Str("password", secret(u.Password))
	}
	for _, p := range c.Paths {
		w.path(p)
	}
	w.Table("limits")
	w.limits(c.Limits)
	w.Table("admin")
	w.Str("socket", c.Admin.Socket)
	w.http(c.Admin.HTTP)
	w.log(c.Log)
	for _, r := range c.Rules {
		w.rule(r)
	}
	w.modes(c.Modes)
	return w.Bytes()
}

// Print writes the configuration in effect as TOML. It holds no secrets.
func (s Server) Print(w io.Writer) error {
	_, err := w.Write(s.encode())
	return err
}

func (s Server) encode() []byte {
	var w writer
	w.Raw("listen", tomlfile.QuoteList(s.Listen))
	if !s.Public.IsZero() {
		w.Str("public", s.Public.String())
	}
	w.Str("security", string(s.Security))
	if s.Security == joinlink.SecurityTLS {
		w.Str("certificate", s.Certificate)
		w.Str("key", s.Key)
	}
	w.Str("users", s.Users)
	w.Str("token_key", s.TokenKey)
	w.Str("mode", s.Mode)
	w.Str("path_manager", string(s.PathManager))
	w.Table("destinations")
	w.Raw("allow", tomlfile.QuoteList(s.Destinations.Allow))
	w.Raw("deny", tomlfile.QuoteList(s.Destinations.Deny))
	w.Raw("ports", portList(s.Destinations.Ports))
	w.Table("limits")
	w.limits(s.Limits.Limits)
	w.strangers(s.Limits.Strangers)
	w.Num("max_connections_per_user", s.Limits.MaxConnectionsPerUser)
	w.Duration("handshake_timeout", s.Limits.HandshakeTimeout)
	w.Duration("auth_failure_delay", s.Limits.AuthFailureDelay)
	w.Table("announce")
	w.announce(s.Announce)
	w.Table("admin")
	w.Str("socket", s.Admin.Socket)
	w.http(s.Admin.HTTP)
	w.log(s.Log)
	w.modes(s.Modes)
	return w.Bytes()
}

func (w *writer) path(p Path) {
	w.Tables("path")
	w.Str("interface", p.Interface)
	if p.Name != "" {
		w.Str("name", p.Name)
	}
	if p.Gateway.IsValid() {
		w.Str("gateway", p.Gateway.String())
	}
	if p.Table != 0 {
		w.Num("table", int(p.Table))
	}
	w.Num("rank", p.Rank)
	w.Bool("metered", p.Metered)
	if p.MinSignal != 0 {
		w.Str("min_signal", formatSignal(p.MinSignal))
	}
}

func (w *writer) limits(l Limits) {
	w.Num("max_connections", l.MaxConnections)
	w.Duration("connect_timeout", l.ConnectTimeout)
	w.Duration("idle_timeout", l.IdleTimeout)
	w.Duration("max_lifetime", l.MaxLifetime)
	w.Duration("half_close_timeout", l.HalfCloseTimeout)
	w.Duration("drain_timeout", l.DrainTimeout)
	w.Size("receive_buffer", l.ReceiveBuffer)
	w.Num("idle_legs", l.IdleLegs)
}

func (w *writer) announce(a Announce) {
	switch {
	case a.Auto:
		w.Str("addresses", "auto")
	case len(a.Addresses) == 0:
		w.Str("addresses", "none")
	default:
		w.Raw("addresses", tomlfile.QuoteList(a.Addresses))
	}
}

func (w *writer) log(l Log) {
	w.Table("log")
	w.Str("level", levelName(l.Level))
	w.Str("format", string(l.Format))
}
