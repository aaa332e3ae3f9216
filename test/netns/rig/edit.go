package rig

import "strings"

// Set returns an edit that puts lines into a table of a configuration file
// that init or join wrote; the files have every table.
func Set(table string, lines ...string) func(toml string) string {
	return func(toml string) string {
		head := "\n[" + table + "]\n"
		return strings.Replace(toml, head, head+strings.Join(lines, "\n")+"\n", 1)
	}
}
