// Package config reads what a user writes: the client's and the server's TOML
// files, the users file, the token key and mpproxy:// links. It turns them into
// validated values and knows every default. It is the only importer of toml.
//
//	c, err := config.LoadClient("/etc/mpproxy/client.toml")
//	if err != nil {
//		return err // every mistake of the file, one a line, each with file:line: key
//	}
//	link, err := config.ParseLink(flagLink) // a flag wins over the file
//	if err != nil {
//		return err
//	}
//	c.Link = link
//	err = c.Validate() // what holds between values, after flags were merged
//
// A Client, Server or Users value is a plain value: after loading nobody
// changes it, and whoever merges flags works on a copy of its own.
//
// Secrets (tokens, passwords) are of type Secret: no verb of fmt and no slog
// handler shows them, only Reveal does. Print redacts them.
//
// The package does not open sockets, does not generate keys or certificates
// for TLS (the server's init command does) and does not watch files.
package config
