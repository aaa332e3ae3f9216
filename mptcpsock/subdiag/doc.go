// Package subdiag reads, without any privilege, what the kernel tells about one
// TCP socket that is known by its two ends: the sock_diag interface of ss(8). It
// sees the subflows of Multipath TCP connections, which have no descriptor.
//
//	r, err := subdiag.Read(ctx, local, remote)
//	fmt.Println(r.Congestion, r.TOS)
//
// It looks in the network namespace of the calling thread, lists nothing and sets
// nothing.
package subdiag
