// Package rtnl is a typed client of rtnetlink: it reads interfaces, addresses, routes, rules
// and neighbours as plain values, and adds and removes routes and rules.
//
//	s, err := rtnl.OpenSession(ctx, 0) // 0: the process's network namespace
//	if err != nil {
//		return err
//	}
//	defer s.Close()
//	sys, err := s.ReadSystem(log)
//
// A message that cannot be decoded is left out and logged; attributes that are not known are
// ignored. The package knows which rules and routes are ours (own.go), and nothing of paths.
package rtnl
