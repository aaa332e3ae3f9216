package scenarios

import (
	"fmt"
	"strings"
)

// with returns a change of a configuration file: each entry is
// "table.key = value", or "key = value" for the top of the file.
func with(entries ...string) func(string) string {
	return func(toml string) string {
		for _, e := range entries {
			key, value, _ := strings.Cut(e, " = ")
			i := strings.LastIndexByte(key, '.')
			if i < 0 {
				toml = e + "\n" + toml
				continue
			}
			header := "\n[" + key[:i] + "]\n"
			line := fmt.Sprintf("%s = %s\n", key[i+1:], value)
			if at := strings.Index(toml, header); at >= 0 {
				at += len(header)
				toml = toml[:at] + line + toml[at:]
			} else {
				toml += header + line
			}
		}
		return toml
	}
}
