// Package link emulates an access link between two network namespaces: rate,
// one-way delay, jitter, random loss, a byte-limited drop-tail queue, silence
// and carrier loss, each direction on its own, all of it changeable while
// traffic runs.
//
//	l, err := link.New(ctx, link.Config{
//		A: link.End{NS: client, Name: "dsl0"},
//		B: link.End{NS: concentrator, Name: "dsl0"},
//		AtoB: link.Params{Rate: 10 * link.Mbit, Delay: 10 * time.Millisecond},
//		BtoA: link.Params{Rate: 50 * link.Mbit, Delay: 10 * time.Millisecond},
//	})
//	defer l.Close()
//	l.SetBlackhole(true)                  // packets vanish, the interface stays up
//	fmt.Println(l.Counters(link.BtoA))
//
// The frames cross user space through a pair of TAP devices, or, where
// /dev/net/tun may not be opened, through packet sockets on two veth pairs. A
// kernel with netem does the work itself. Kind says which, and New chooses.
//
// The package gives interfaces no addresses and makes no routes, does not
// duplicate, corrupt or reorder frames, and does not model the frame check
// sequence: a frame of n bytes is what a packet capture shows, so that TCP over
// IPv4 at an MTU of 1500 carries at most 1428/1514 = 0.943 of the rate.
package link
