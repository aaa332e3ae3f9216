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
//	// A subflow to come, before its SYN is sent:
//	rule, err := s.SetOnConnect(subopt.Match{Cookie: cookie, Remote: lte}, subopt.TOS, subopt.Number(0x28))
//	defer rule.Remove()
//
// Set and Get walk over the TCP sockets of the network namespace inside the
// kernel (a bpf_iter program), until they meet the subflow: about a millisecond,
// more on a host with much memory, whose table is larger. SetOnConnect leaves
// rules for a sock_ops program on the process's cgroup, which looks at each
// subflow of the cgroup once. Open takes tens of milliseconds: keep the Setter.
//
// It takes Linux 6.1 with CONFIG_DEBUG_INFO_BTF, and CAP_BPF and CAP_PERFMON of
// the initial user namespace; SetOnConnect also CAP_NET_ADMIN and a cgroup v2.
//
// What it does not do: it opens no sockets, finds no subflows and remembers no
// values. An option that the application sets on the connection afterwards is
// given by the kernel to all subflows, and replaces what was set here. A route's
// own rto_min goes before MinRTO (ip-route(8)).
package subopt
