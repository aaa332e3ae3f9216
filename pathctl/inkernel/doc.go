// Package inkernel has the kernel's own path manager make the subflows: it registers
// the addresses of the client's paths as endpoints, or announces those of a
// concentrator, raises the limits as far as needed, and puts both back.
//
//	m, err := inkernel.Open(client, journal, mptcppm.FirstClientID, log)
//	m.Restore()                                         // what an earlier run left
//	status := m.Apply(ctx, inkernel.EndpointsFor(paths), limits)
//	err = m.Restore()                                   // at the end
package inkernel
