// Package capture shows the TCP segments that cross the interfaces of a
// network namespace, with the kernel's time stamps and what matters of their
// MPTCP options.
//
//	c, err := capture.Open(ctx, topo.Client, capture.Options{SYN: true})
//	defer c.Close()
//	for {
//		s, err := c.Next(ctx)
//		fmt.Println(s.At, s.Outgoing, s.Src, s.Dst, s.Join)
//	}
//
// It reads headers only, keeps nothing, writes no files and reassembles no
// streams. What the kernel had no room for is counted: Dropped.
package capture
