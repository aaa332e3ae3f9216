package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"mpproxy/config"
	"mpproxy/config/credential"
	"mpproxy/config/joinlink"
	"mpproxy/config/tomlfile"
	"mpproxy/config/userfile"
)

type initCmd struct {
	Dir      string            `short:"d" required:"" placeholder:"DIR" help:"Directory for the files; made if it is not there."`
	Public   string            `short:"p" required:"" placeholder:"HOST:PORT" help:"What clients connect to: a name or address of this host, and the port."`
	User     string            `short:"u" default:"user" placeholder:"NAME" help:"Name of the first user (default: ${default})."`
	Listen   []string          `placeholder:"ADDR:PORT" help:"Listen here (repeatable; default: [::] and the public port)."`
	Security joinlink.Security `enum:"tls,none" default:"tls" help:"Protection of the leg: tls, or none for access networks that are private already (default: ${default})."`
}

func (c initCmd) Run() error {
	public, err := joinlink.ParseHostPort(c.Public)
	if err != nil {
		return &tomlfile.Error{Key: "--public", Message: err.Error()}
	}
	if err := credential.CheckUserName(c.User); err != nil {
		return &tomlfile.Error{Key: "--user", Message: err.Error()}
	}
	listen, err := c.listen(public)
	if err != nil {
		return err
	}
	conf, err := c.write(config.ServerInit{Public: public, Listen: listen, Security: c.Security})
	if err != nil {
		return err
	}
	file := filepath.Join(c.Dir, serverFile)
	fmt.Printf("Wrote %s and the files that it names.\n", file)
	fmt.Printf("Start the server with: mpproxy-server run --config %s\n\n", file)
	return addUser(conf, c.User)
}

func (c initCmd) listen(public joinlink.HostPort) ([]netip.AddrPort, error) {
	if len(c.Listen) == 0 {
		return []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), public.Port)}, nil
	}
	var out []netip.AddrPort
	for _, s := range c.Listen {
		a, err := netip.ParseAddrPort(s)
		if err != nil {
			return nil, &tomlfile.Error{Key: "--listen", Message: fmt.Sprintf("%q: write ADDRESS:PORT, such as 0.0.0.0:8443 or [::]:8443", s)}
		}
		out = append(out, a)
	}
	return out, nil
}

// serverFile is the configuration's name in the directory of init.
const serverFile = "server.toml"

// write makes all files but the users', the configuration last: where it is,
// init has succeeded.
func (c initCmd) write(values config.ServerInit) (config.Server, error) {
	path := filepath.Join(c.Dir, serverFile)
	if _, err := os.Lstat(path); err == nil {
		return config.Server{}, fmt.Errorf("%s exists already: add users with `mpproxy-server user add NAME --config %s`, or choose another --dir", path, path)
	}
	text := config.ServerTOML(values)
	conf, err := config.ParseServer(text, path)
	if err != nil {
		return conf, err
	}
	key, err := credential.NewTokenKey()
	if err != nil {
		return conf, err
	}
	type file struct {
		path string
		data []byte
	}
	files := []file{{conf.TokenKey, key.Encode()}, {conf.Users, userfile.Set{}.Encode()}}
	if conf.Security == joinlink.SecurityTLS {
		pair, err := newKeyPair(values.Public.Host)
		if err != nil {
			return conf, err
		}
		files = append(files, file{conf.Key, pair.key}, file{conf.Certificate, pair.cert})
	}
	for _, f := range append(files, file{path, text}) {
		if err := tomlfile.WritePrivate(f.path, f.data); err != nil {
			return conf, err
		}
	}
	return conf, nil
}
