// Package subopt sets and reads socket options of one subflow of a Multipath TCP
// connection, beside the others. No system call does that: a subflow has no
// descriptor. eBPF programs do, on an unpatched kernel.
//
//	s, err := subopt.Open()
//	if errors.Is(err, subopt.ErrNotPermitted) { … } // says which capabilities are missing
//	defer s.Close()
//
//	// A subflow that exists, known by its two ends:
//	err = s.Set(ctx, local, remote, subopt.Congestion, subopt.Text("reno"))
//	err = s.Set(ctx, local, remote, subopt.MinRTO, subopt.Duration(40*time.Millisecond))
//	v, err := s.Get(ctx, local, remote, subopt.Mark)
//	fmt.Println(v.Number())
//
// Set and Get walk over the TCP sockets of the network namespace inside the
// kernel (a bpf_iter program), until they meet the subflow: about a millisecond.
//
// It takes Linux 6.1 with CONFIG_DEBUG_INFO_BTF, and CAP_BPF, CAP_PERFMON and
// CAP_NET_ADMIN of the initial user namespace.
//
// What it does not do: it opens no sockets, finds no subflows and remembers no
// values. An option that the application sets on the connection afterwards is
// given by the kernel to all subflows, and replaces what was set here. A route's
// own rto_min goes before MinRTO (ip-route(8)).
package subopt
