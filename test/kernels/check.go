package main

import (
	"cmp"
	"path"
	"regexp"
	"time"
)

// A check is a package whose tests depend on the kernel.
type check struct {
	pkg   string // below the module's root
	run   string // for -test.run; empty: all tests
	skip  string // for -test.skip
	short bool   // part of the short form
}

// checks are in the order of the rooms that they test, from the kernel upwards.
var checks = []check{
	{pkg: "mptcpsock", short: true},
	{pkg: "mptcpsock/subopt", short: true},
	{pkg: "mptcpsock/subdiag"},
	{pkg: "mptcpsock/control"},
	{pkg: "internal/hoststate"},
	{pkg: "internal/bpfenv", skip: "Object"}, // of the compiler, not of the kernel
	{pkg: "pathctl/mptcppm", short: true},
	{pkg: "pathctl/netpath"},
	{pkg: "pathctl/subflowbpf", short: true},
	{pkg: "pathctl/inkernel"},
	{pkg: "pathctl/engine"},
	{pkg: "pathctl"},
	{pkg: "test/scenarios/modes", run: "TestCarriedByMode"},
	{pkg: "test/scenarios/paths"},
}

// limit bounds one check in the guest, whose only CPU may be an emulated one.
const limit = 8 * time.Minute

// binary is the file that go test -c makes of a package.
func (c check) binary() string { return path.Base(c.pkg) + ".test" }

// chosen returns the checks to run: those of the short form if that is wanted, whose
// packages match. run, unless empty, takes the place of their tests.
func chosen(short bool, match *regexp.Regexp, run string) []check {
	var all []check
	for _, c := range checks {
		if (c.short || !short) && match.MatchString(c.pkg) {
			c.run = cmp.Or(run, c.run)
			all = append(all, c)
		}
	}
	return all
}
