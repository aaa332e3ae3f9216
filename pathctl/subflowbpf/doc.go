// Package subflowbpf tells when a subflow of a Multipath TCP connection runs into
// a retransmission timeout, retransmits or changes its state: SMAPP's timeout
// event, which the kernel's path manager does not have. With eBPF it also bounds
// what subflows hold unsent, their pacing, and their first windows (SetLimits,
// SetFirstRate).
//
//	w, err := subflowbpf.Open(subflowbpf.Config{}, log) // before the sockets are opened
//	if err != nil { … }
//	defer w.Close()
//	log.Info("watching subflows", "mechanism", w.Mechanism())
//	w.Add(source)                                   // each connection that is ours
//	for e, err := range w.All(ctx) {
//		if errors.Is(err, subflowbpf.ErrEventsLost) { resync(); continue }
//		if err != nil { return err }
//		handle(e) // e.Kind, e.Token, e.Local, e.Remote, e.RTO
//	}
//
// There are three mechanisms. Open takes the first that works; Mechanism says which
// one that is, and why no better one works:
//
//   - An eBPF sock_ops program (subflow.bpf.c) on a cgroup of the process's own. The
//     process moves into a child of its cgroup, and back on Close. A socket belongs
//     to the cgroup in which its creator was when it was made. Accepted connections
//     and their further subflows belong to the cgroup of the listener. Sockets that
//     were opened before Open are not seen. This takes CAP_BPF, CAP_PERFMON and
//     CAP_NET_ADMIN, and a writable cgroup2 mount.
//   - The same program on the cgroup where the process is, shared with others. The
//     program looks at the network namespace of the thread that called Open, and
//     there at the connections given to Add.
//   - Polling the connections given to Add. This takes no privileges. It finds the
//     same events later: by a quarter of the RTO, at most 100 ms, while data is in
//     flight; by up to 250 ms after an idle time; by more with thousands of
//     connections.
//
// The package reads no sockets itself, decides nothing, and reports no connection
// that is plain TCP. One that fell back to TCP after its handshake may still be
// reported under the token that it had.
package subflowbpf
