// Package pathctl is the controller as programs use it: it follows the paths, decides
// which subflows exist, and makes the kernel follow.
//
//	c := pathctl.NewClient(pathctl.ClientConfig{Selectors: …, StateDir: dir}, log)
//	err := c.Run(ctx)        // until ctx ends; what it changed is put back
//	paths := c.Paths()       // at any time, from any goroutine
//	c.Register(ctx, reg)     // a connection of the data path, known by its token
//
// Client has the paths, Concentrator is the other end, and Application is Client in an
// ordinary program's own process. They are put together here out of the packages
// below: engine decides where mpproxy is the path manager, inkernel registers
// endpoints where the kernel is, netpath follows the paths, coexist sees who else has
// a say.
//
// It does not touch the data path.
package pathctl
