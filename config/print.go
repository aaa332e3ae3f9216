package config

import (
	"io"
	"time"
)

// Print writes the configuration in effect as TOML. Secrets show as REDACTED:
// the link's token and the passwords.
func (c Client) Print(w io.Writer) error {
	_, err := w.Write(c.encode(Link.Redacted, Secret.String))
	return err
}

func (c Client) encode(link func(Link) string, secret func(Secret) string) []byte {
	var w tomlWriter
	if !c.Link.IsZero() {
		w.str("link", link(c.Link))
	}
	w.str("mode", c.Mode)
	w.str("path_manager", string(c.PathManager))
	w.bool("require_mptcp", c.RequireMPTCP)
	w.table("socks")
	w.raw("listen", quoteList(c.Socks.Listen))
	w.bool("allow_open", c.Socks.AllowOpen)
	w.bool("ask", c.Socks.Ask)
	w.duration("handshake_timeout", c.Socks.HandshakeTimeout)
	for _, u := range c.Socks.Users {
		w.tables("socks.user")
		w.str("name", u.Name)
		w.str("password", secret(u.Password))
	}
	for _, p := range c.Paths {
		w.path(p)
	}
	w.table("limits")
	w.limits(c.Limits)
	w.table("admin")
	w.str("socket", c.Admin.Socket)
	w.http(c.Admin.HTTP)
	w.log(c.Log)
	for _, r := range c.Rules {
		w.rule(r)
	}
	w.modes(c.Modes)
	return w.bytes()
}

// Print writes the configuration in effect as TOML. It holds no secrets.
func (s Server) Print(w io.Writer) error {
	_, err := w.Write(s.encode())
	return err
}

func (s Server) encode() []byte {
	var w tomlWriter
	w.raw("listen", quoteList(s.Listen))
	if !s.Public.IsZero() {
		w.str("public", s.Public.String())
	}
	w.str("security", string(s.Security))
	if s.Security == SecurityTLS {
		w.str("certificate", s.Certificate)
		w.str("key", s.Key)
	}
	w.str("users", s.Users)
	w.str("token_key", s.TokenKey)
	w.str("mode", s.Mode)
	w.str("path_manager", string(s.PathManager))
	w.table("destinations")
	w.raw("allow", quoteList(s.Destinations.Allow))
	w.raw("deny", quoteList(s.Destinations.Deny))
	w.raw("ports", portList(s.Destinations.Ports))
	w.table("limits")
	w.limits(s.Limits.Limits)
	w.num("max_connections_per_user", s.Limits.MaxConnectionsPerUser)
	w.duration("handshake_timeout", s.Limits.HandshakeTimeout)
	w.duration("auth_failure_delay", s.Limits.AuthFailureDelay)
	w.table("announce")
	w.announce(s.Announce)
	w.table("admin")
	w.str("socket", s.Admin.Socket)
	w.http(s.Admin.HTTP)
	w.log(s.Log)
	w.modes(s.Modes)
	return w.bytes()
}

func (w *tomlWriter) duration(key string, d time.Duration) { w.str(key, formatDuration(d)) }

func (w *tomlWriter) size(key string, s Size) {
	if s == 0 {
		w.str(key, "0")
		return
	}
	w.str(key, s.String())
}

func (w *tomlWriter) path(p Path) {
	w.tables("path")
	w.str("interface", p.Interface)
	if p.Name != "" {
		w.str("name", p.Name)
	}
	if p.Gateway.IsValid() {
		w.str("gateway", p.Gateway.String())
	}
	if p.Table != 0 {
		w.num("table", int(p.Table))
	}
	w.num("rank", p.Rank)
	w.bool("metered", p.Metered)
	if p.MinSignal != 0 {
		w.str("min_signal", formatSignal(p.MinSignal))
	}
}

func (w *tomlWriter) limits(l Limits) {
	w.num("max_connections", l.MaxConnections)
	w.duration("connect_timeout", l.ConnectTimeout)
	w.duration("idle_timeout", l.IdleTimeout)
	w.duration("max_lifetime", l.MaxLifetime)
	w.duration("half_close_timeout", l.HalfCloseTimeout)
	w.duration("drain_timeout", l.DrainTimeout)
	w.size("receive_buffer", l.ReceiveBuffer)
	w.num("idle_legs", l.IdleLegs)
}

func (w *tomlWriter) announce(a Announce) {
	switch {
	case a.Auto:
		w.str("addresses", "auto")
	case len(a.Addresses) == 0:
		w.str("addresses", "none")
	default:
		w.raw("addresses", quoteList(a.Addresses))
	}
}

func (w *tomlWriter) log(l Log) {
	w.table("log")
	w.str("level", levelName(l.Level))
	w.str("format", string(l.Format))
}
