package proxy_test

import (
	"net/netip"
	"testing"

	"mpproxy/proxy/egress"
	"mpproxy/proxy/egress/destination"
	"mpproxy/proxy/front"
	"mpproxy/proxy/ingress"
	"mpproxy/proxy/ingress/socks5"
	"mpproxy/proxy/leg"
	. "mpproxy/proxy/proxytest"
	"mpproxy/proxy/serve"
	"mpproxy/proxy/socks"
)

func concentratorConfig() egress.Config {
	return egress.Config{
		Listen: []netip.AddrPort{AnyPort}, Auth: Alice,
		Rules:          destination.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		MaxConnections: 1000, HandshakeTimeout: Patience, ConnectTimeout: Patience,
	}
}

func startConcentrator(t testing.TB, change func(*egress.Config)) (*egress.Concentrator, *Running) {
	t.Helper()
	cfg := concentratorConfig()
	if change != nil {
		change(&cfg)
	}
	c := egress.New(cfg)
	return c, Start(t, c)
}

func upstreamTo(addr netip.AddrPort, change func(*leg.Config)) *leg.Session {
	cfg := leg.Config{
		Host: addr.Addr().String(), Port: addr.Port(),
		Credentials:    func(mode string) (string, string) { return "alice+" + mode, "token" },
		ConnectTimeout: Patience, AnswerTimeout: Patience,
	}
	if change != nil {
		change(&cfg)
	}
	return leg.New(cfg)
}

// startFront starts a front with a SOCKS5 listener that is open to anybody.
func startFront(t testing.TB, up *leg.Session, change func(*front.Config)) (*front.Front, *Running) {
	t.Helper()
	cfg := front.Config{
		WaysIn: socksFor(Auth{Anybody: true}), Session: up,
		MaxConnections: 1000, HandshakeTimeout: Patience,
	}
	if change != nil {
		change(&cfg)
	}
	f := front.New(cfg)
	return f, Start(t, f)
}

// socksFor is a SOCKS5 listener for whom auth knows.
func socksFor(auth socks.Authenticator) []ingress.WayIn {
	return []ingress.WayIn{socks5.WayIn{Addrs: []netip.AddrPort{AnyPort}, Auth: auth}}
}

// setup is a way to run the same test over TLS and without.
type setup struct {
	name string
	conc func(*egress.Config)
	up   func(*leg.Config)
}

func setups(t testing.TB) []setup {
	cert, pin := NewKey(t)
	plain := setup{"none", func(*egress.Config) {}, func(*leg.Config) {}}
	secure := setup{
		"tls",
		func(c *egress.Config) { c.TLS = leg.ServerTLS(cert) },
		func(c *leg.Config) { c.TLS = leg.ClientTLS("concentrator", pin) },
	}
	return []setup{plain, secure, plain.kept(32), secure.kept(32)}
}

// kept makes both ends keep up to n legs for another stream.
func (l setup) kept(n int) setup {
	return setup{
		l.name + ", kept",
		func(c *egress.Config) { l.conc(c); c.IdleLegs = n },
		func(c *leg.Config) { l.up(c); c.IdleLegs = n },
	}
}

func onBoth(t *testing.T, f func(t *testing.T, l setup)) {
	for _, l := range setups(t) {
		t.Run(l.name, func(t *testing.T) { f(t, l) })
	}
}

// waitLive waits until n connections are in the table: the client has its answer
// a moment earlier.
func waitLive(t testing.TB, table *serve.Table, n int) []*serve.Connection {
	t.Helper()
	Eventually(t, "the connections are in the table", func() bool { return table.Len() == n })
	return table.Connections()
}
