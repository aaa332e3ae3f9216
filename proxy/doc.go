// Package proxy is the data path of mpproxy: the SOCKS5 front on the client,
// the upstream leg to the concentrator, and the concentrator itself.
//
//	front, _ := proxy.NewFront(proxy.FrontConfig{Listen: …, Auth: …, Upstream: up})
//	front.Run(ctx)                  // applications → SOCKS5 → leg
//
//	conc, _ := proxy.NewConcentrator(proxy.ConcentratorConfig{Listen: …, Auth: …})
//	conc.Run(ctx)                   // leg → SOCKS5 → destination
//
// Both accept, shake hands under a deadline, connect onwards, answer with the
// reply code that says what happened, and hand the two connections to
// proxy/relay. The table of live connections is what status shows.
//
// The package knows nothing of interfaces, routes or subflow policies: paths
// reach it through the Paths interface, and the controller finds a connection
// by its kernel token.
package proxy
