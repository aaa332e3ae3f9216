// Package config reads the client's and the server's files, turns them into validated
// values and knows every default. What else a user writes or keeps has rooms of its own:
// joinlink (mpproxy:// links), userfile (the users file), credential (tokens and the key
// that they are made with). tomlfile reads and writes the text of all files.
//
//	c, err := config.LoadClient("/etc/mpproxy/client.toml")
//	if err != nil {
//		return err // every mistake of the file, one a line, each with file:line: key
//	}
//	link, err := joinlink.Parse(flagLink) // a flag wins over the file
//	if err != nil {
//		return err
//	}
//	c.Link = link
//	err = c.Validate() // what holds between values, after flags were merged
//
// A Client or a Server is a plain value: after loading nobody changes it, and whoever
// merges flags works on a copy of its own.
//
// Tokens and passwords are credential.Secrets. Print redacts them.
//
// The package does not open sockets, does not generate keys or certificates
// for TLS (the server's init command does) and does not watch files.
package config
