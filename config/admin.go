package config

import (
	"fmt"
	"net/netip"
	"path/filepath"

	"mpproxy/config/joinlink"
	"mpproxy/config/tomlfile"
)

// Admin is the client's admin API.
type Admin struct {
	Socket string         // path of the Unix socket; empty: see SocketPath
	HTTP   netip.AddrPort // where metrics are served over HTTP; zero: nowhere
}

// ServerAdmin is the server's admin API.
type ServerAdmin struct {
	Socket string         // path of the Unix socket; empty: see SocketPath
	HTTP   netip.AddrPort // where metrics are served over HTTP; zero: nowhere
}

type rawAdmin struct {
	Socket tomlfile.Field[string] `toml:"socket"`
	HTTP   tomlfile.Field[string] `toml:"http"`
}

// maxSocketPath is sizeof(sun_path) less its terminating zero (unix(7)).
const maxSocketPath = 107

func (c check) adminSocket(f tomlfile.Field[string]) string {
	p := c.path(f, "")
	if len(p) > maxSocketPath {
		c.At(f.Mark, "the path %q has %d bytes: a Unix socket's may have at most %d", p, len(p), maxSocketPath)
	}
	return p
}

// adminHTTP reads where to serve HTTP; "" is nowhere.
func (c check) adminHTTP(f tomlfile.Field[string]) netip.AddrPort {
	if f.Value == "" {
		return netip.AddrPort{}
	}
	ap, err := joinlink.ParseListen(f.Value)
	if err != nil {
		c.At(f.Mark, "%v; \"\" switches it off", err)
	}
	return ap
}

// adminFindings warns of HTTP that other hosts reach: it asks nobody who he is.
func adminFindings(http netip.AddrPort) []string {
	if !http.IsValid() || http.Addr().IsLoopback() {
		return nil
	}
	return []string{fmt.Sprintf("admin.http: everybody who reaches %v reads addresses of this host, counts and modes there: use 127.0.0.1, or keep others out with a firewall", http)}
}

// SocketPath returns the path of the admin socket: the configured one, else
// /run/mpproxy/client.sock for root, $XDG_RUNTIME_DIR/mpproxy/client.sock, or
// /tmp/mpproxy-UID/client.sock. It is a pure function: pass os.Getuid() and
// os.Getenv.
func (a Admin) SocketPath(uid int, getenv func(string) string) string {
	return socketPath(a.Socket, "client.sock", uid, getenv)
}

// SocketPath is Admin.SocketPath, with server.sock.
func (a ServerAdmin) SocketPath(uid int, getenv func(string) string) string {
	return socketPath(a.Socket, "server.sock", uid, getenv)
}

func socketPath(configured, name string, uid int, getenv func(string) string) string {
	if configured != "" {
		return configured
	}
	if uid == 0 {
		return filepath.Join("/run/mpproxy", name)
	}
	if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) { // relative ones are to be ignored, says the XDG specification
		if p := filepath.Join(dir, "mpproxy", name); len(p) <= maxSocketPath {
			return p
		}
	}
	return filepath.Join(fmt.Sprintf("/tmp/mpproxy-%d", uid), name)
}

// http writes admin.http.
func (w *writer) http(addr netip.AddrPort) {
	if !addr.IsValid() {
		w.Str("http", "")
		return
	}
	w.Str("http", addr.String())
}
