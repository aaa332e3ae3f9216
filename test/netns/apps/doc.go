// Package apps has the small servers that scenarios and benchmarks talk to: a
// file server with content that can be checked, which also takes uploads, and an
// echo server. They run in the calling program and listen in a host; sockets are
// plain TCP, so that no test mistakes their end for Multipath TCP.
//
//	web, err := apps.ServeHTTP(ctx, topo.Destination, 80)
//	defer web.Close()
//	// GET  /bytes/60M  → 60,000,000 bytes, apps.SHA256(60e6) is their sum
//	// PUT  /upload     → the SHA-256 of the body, in hexadecimal
//	// POST /discard    → the number of bytes of the body
//	echo, err := apps.ServeEcho(ctx, topo.Destination, 7)
//
// They have no TLS, no authentication and no business outside a test.
package apps
