package access

import (
	"log/slog"
	"sync"
)

// mostMisspelt bounds how many names LogMisspelt remembers: a program that shows a random
// one for each connection must fill neither memory nor log.
const mostMisspelt = 100

// LogMisspelt returns a Local.Misspelt that logs each name once, and the first 100 of
// them.
func LogMisspelt(log *slog.Logger) func(name string, why error) {
	var mu sync.Mutex
	said := map[string]bool{}
	return func(name string, why error) {
		mu.Lock()
		defer mu.Unlock()
		if said[name] || len(said) == mostMisspelt {
			return
		}
		said[name] = true
		log.Warn("a user name chooses no mode: it is taken for a label", "name", name, "because", why)
	}
}
