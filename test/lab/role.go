package main

import "fmt"

// Load that must not share a process with the laboratory runs as one of its
// own: the program starts itself in a role.
var roles = map[string]func(args []string) error{
	"spin": spinRole,
}

func play(args []string) error {
	if len(args) == 0 || roles[args[0]] == nil {
		return fmt.Errorf("no such role: %q", args)
	}
	return roles[args[0]](args[1:])
}
