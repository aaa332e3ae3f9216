package measure

import (
	"fmt"
	"regexp"
)

// Edit changes the text of a configuration file; see rig.Config.
type Edit = func(toml string) string

var pathManager = regexp.MustCompile(`(?m)^#?path_manager = .*$`)

// Manager sets path_manager to "kernel" or "userspace" in a file that init or
// join wrote.
func Manager(name string) Edit {
	return func(toml string) string {
		return pathManager.ReplaceAllString(toml, fmt.Sprintf("path_manager = %q", name))
	}
}

// Append adds tables to the end of a file.
func Append(text string) Edit {
	return func(toml string) string { return toml + "\n" + text + "\n" }
}

// Edits makes several changes, in their order; nil ones are left out.
func Edits(all ...Edit) Edit {
	return func(toml string) string {
		for _, e := range all {
			if e != nil {
				toml = e(toml)
			}
		}
		return toml
	}
}
