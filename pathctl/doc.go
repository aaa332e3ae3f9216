// Package pathctl is the controller: one goroutine that owns everything known
// about paths and subflows and makes the kernel follow it.
//
//	c := pathctl.NewClient(pathctl.ClientConfig{Selectors: …, StateDir: dir}, log)
//	err := c.Run(ctx)      // until ctx ends; what it changed is put back
//	paths := c.Paths()     // at any time, from any goroutine
//
// With path_manager = "kernel" it registers the addresses of the paths as
// endpoints of the in-kernel path manager (client) or announces the host's
// addresses (concentrator), raises the limits as far as needed, and undoes both
// when it stops, or at the next start after a crash.
//
// It does not touch the data path: connections are joined by their token.
package pathctl
