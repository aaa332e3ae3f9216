// Package rules lets the user's rules choose how a flow is carried: by where it goes, the
// listener that the application came to, and who it is.
//
//	choice := rules.Rules{{Name: "ssh", Ports: …, Mode: "handover"}}.Choose(flow, listener)
//
// The functions are pure. What modes and paths there are, the caller knows.
package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mpproxy/proxy"
)

// Rule gives connections a mode and, if wanted, the paths they may use. All
// kinds of condition that are given must hold; of one kind, any. Hosts and
// CIDRs are one kind, the destination: a request names a host or an address,
// never both. A rule without conditions holds for all.
type Rule struct {
	Name  string // for people
	Ports []PortRange
	// Hosts are names that match themselves and everything below them:
	// "example.com" matches "www.example.com", not "badexample.com".
	Hosts []string
	CIDRs []netip.Prefix
	// Listeners are the SOCKS listeners the application came to. An unspecified
	// address stands for any, as does port 0.
	Listeners []netip.AddrPort
	Users     []string // local user names, without "+mode"
	// Mode is the name of a mode; "" leaves what was asked for.
	Mode string
	// Enforce makes Mode hold also for an application that asked for another.
	Enforce bool
	// Paths are the names of the paths allowed, the preferred one first; empty
	// leaves them all.
	Paths []string
}

// PortRange is a range of destination ports, both ends included.
type PortRange struct{ First, Last uint16 }

// Rules are asked in their order: the first one that holds decides.
type Rules []Rule

// Choose returns what the rules say about a flow.
//
// The paths of a rule hold for everybody. Its mode gives way to the one that an
// application has asked for itself, unless the rule is enforced.
func (rs Rules) Choose(f *proxy.Flow, listener netip.AddrPort) proxy.Choice {
	choice := proxy.Choice{Mode: f.Who.Mode}
	rule, ok := rs.Match(f.To, listener, f.Who.User)
	if !ok {
		return choice
	}
	choice.Rule, choice.Paths = rule.Name, rule.Paths
	if rule.Mode != "" && (rule.Enforce || !f.Who.Asked) {
		choice.Mode = rule.Mode
	}
	return choice
}

// Match returns the first rule that holds for a connection.
func (rs Rules) Match(to proxy.Destination, listener netip.AddrPort, user string) (Rule, bool) {
	for _, r := range rs {
		if r.holds(to, listener, user) {
			return r, true
		}
	}
	return Rule{}, false
}

func (r *Rule) holds(to proxy.Destination, listener netip.AddrPort, user string) bool {
	return (len(r.Ports) == 0 || slices.ContainsFunc(r.Ports, func(p PortRange) bool { return p.First <= to.Port && to.Port <= p.Last })) &&
		(len(r.Hosts)+len(r.CIDRs) == 0 || r.leadsTo(to)) &&
		(len(r.Listeners) == 0 || slices.ContainsFunc(r.Listeners, func(l netip.AddrPort) bool { return listens(l, listener) })) &&
		(len(r.Users) == 0 || slices.Contains(r.Users, user))
}

func (r *Rule) leadsTo(to proxy.Destination) bool {
	addr := to.Addr
	if !addr.IsValid() {
		addr, _ = netip.ParseAddr(to.Name) // some applications send an address as a name
	}
	if addr.IsValid() {
		addr = addr.Unmap().WithZone("")
		return slices.ContainsFunc(r.CIDRs, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	return slices.ContainsFunc(r.Hosts, func(h string) bool { return below(to.Name, h) })
}

// below reports whether a host is a domain or in it (RFC 4343: letters match in
// either case).
func below(host, domain string) bool {
	host, domain = canonical(host), canonical(domain)
	if domain == "" || len(host) < len(domain) || !strings.EqualFold(host[len(host)-len(domain):], domain) {
		return false
	}
	return len(host) == len(domain) || host[len(host)-len(domain)-1] == '.'
}

// canonical drops the dot of the root and what people write before a suffix.
func canonical(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(strings.TrimSuffix(name, "."), "*"), ".")
}

func listens(rule, listener netip.AddrPort) bool {
	return (rule.Port() == 0 || rule.Port() == listener.Port()) &&
		(!rule.Addr().IsValid() || rule.Addr().IsUnspecified() || rule.Addr().Unmap() == listener.Addr().Unmap())
}

// Validate checks a rule. modes are the names of the modes that exist, paths those of the
// paths; nil when paths are found by themselves.
func (r *Rule) Validate(modes, paths []string) error {
	var errs []error
	for _, p := range r.Ports {
		if p.First == 0 || p.First > p.Last {
			errs = append(errs, fmt.Errorf("ports %d-%d: use 1 to 65535, the lower one first", p.First, p.Last))
		}
	}
	for _, h := range r.Hosts {
		if c := canonical(h); c == "" || strings.ContainsAny(c, "*/: ") {
			errs = append(errs, fmt.Errorf("host %q: use a name such as \"example.com\"; it matches what is below it, too", h))
		}
	}
	for _, c := range r.CIDRs {
		if !c.IsValid() || c != c.Masked() || c.Addr().Is4In6() {
			errs = append(errs, fmt.Errorf("CIDR %v: use a prefix such as 192.0.2.0/24, without bits behind its length", c))
		}
	}
	if r.Mode != "" && !slices.Contains(modes, r.Mode) {
		errs = append(errs, fmt.Errorf("mode %q does not exist", r.Mode))
	}
	for i, p := range r.Paths {
		if paths != nil && !slices.Contains(paths, p) {
			errs = append(errs, fmt.Errorf("path %q does not exist: the paths are %q", p, paths))
		}
		if slices.Contains(r.Paths[:i], p) {
			errs = append(errs, fmt.Errorf("path %q is named twice", p))
		}
	}
	return errors.Join(errs...)
}
