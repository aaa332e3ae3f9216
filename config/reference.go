package config

import (
	_ "embed"
	"net/netip"
	"strings"

	"mpproxy/pathctl/policy"
)

//go:embed reference_client.toml
var referenceClient string

//go:embed reference_server.toml
var referenceServer string

// ReferenceClient returns a client file with every key, its default and what it
// means. Parsed, it equals DefaultClient.
func ReferenceClient() string { return referenceClient + referenceModes(policy.Client) }

// ReferenceServer returns a server file with every key, its default and what it
// means. Parsed, it equals DefaultServer.
func ReferenceServer() string { return referenceServer + referenceModes(policy.Concentrator) }

// ClientTOML returns the file that join writes: the reference, without the long
// part about the modes' numbers, with the link filled in and everything else
// commented out, so that later versions' defaults apply. It holds the token: write it with WritePrivate.
func ClientTOML(link Link) []byte {
	return fill(referenceClient, map[string]string{"link": quote(link.URL())})
}

// ServerInit are the values of a new server's file.
type ServerInit struct {
	Public   HostPort         // goes into links
	Listen   []netip.AddrPort // empty: the default
	Security Security         // empty: SecurityTLS
}

// ServerTOML returns the file that init writes: as ClientTOML, with these values
// filled in. Other files have their default names.
func ServerTOML(v ServerInit) []byte {
	d := DefaultServer()
	if len(v.Listen) == 0 {
		v.Listen = d.Listen
	}
	if v.Security == "" {
		v.Security = d.Security
	}
	values := map[string]string{
		"listen":    quoteList(v.Listen),
		"security":  quote(string(v.Security)),
		"users":     quote(d.Users),
		"token_key": quote(d.TokenKey),
	}
	if !v.Public.IsZero() {
		values["public"] = quote(v.Public.String())
	}
	if v.Security == SecurityTLS {
		values["certificate"], values["key"] = quote(d.Certificate), quote(d.Key)
	}
	return fill(referenceServer, values)
}

// fill sets keys above the first table of a reference text and comments all
// other keys out.
func fill(reference string, values map[string]string) []byte {
	var b strings.Builder
	atTop := true
	for line := range strings.Lines(reference) {
		atTop = atTop && !strings.HasPrefix(line, "[")
		key, _, isKey := strings.Cut(strings.TrimPrefix(line, "#"), " = ")
		isKey = isKey && !strings.ContainsAny(key, " #[")
		value, isFilled := values[key]
		switch {
		case isKey && isFilled && atTop:
			line = key + " = " + value + "\n"
		case isKey && !strings.HasPrefix(line, "#"):
			line = "#" + line
		}
		b.WriteString(line)
	}
	return []byte(b.String())
}
