package netns

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Priorities of the concentrator's rules.
const (
	askPriority     = 5
	ingressPriority = 10
	localPriority   = 100
)

// filterIngress makes the concentrator drop what arrives over one link with the
// source address of another: rules that look at source and interface, ahead of
// the rule for local addresses, which has to make room. (rp_filter does not do
// for IPv6.) It runs in the concentrator.
func (t *Topology) filterIngress() error {
	var networks4, networks6 []netip.Prefix
	for _, l := range t.Links {
		networks4 = append(networks4, l.Network4)
		networks6 = append(networks6, l.Network6)
	}
	for _, networks := range [][]netip.Prefix{networks4, networks6} {
		if err := t.filterFamily(networks); err != nil {
			return fmt.Errorf("netns: ingress filter: %w", err)
		}
	}
	if err := t.answerARP(); err != nil {
		return fmt.Errorf("netns: rules ahead of the ingress filter: %w", err)
	}
	return nil
}

// answerARP lets the concentrator answer whoever asks on a link for its address
// there. A host asks with the source of a packet that waits for the answer
// (net.ipv4.conf.*.arp_announce=0, the default), which after a change of routes
// is a connection of another link as well; and Linux does not answer a request
// whose sender has no route (arp_process in net/ipv4/arp.c). A provider's filter
// is for packets. IPv6 asks with an address of the link.
func (t *Topology) answerARP() error {
	var errs []error
	for _, l := range t.Links {
		if !l.Network4.IsValid() || len(t.Links) == 1 {
			continue
		}
		r := netlink.NewRule()
		r.Family, r.Priority, r.Table = unix.AF_INET, askPriority, unix.RT_TABLE_LOCAL
		r.IifName, r.Dst = l.Name, ipNet(host(l.Gateway4))
		errs = append(errs, netlink.RuleAdd(r))
	}
	return errors.Join(errs...)
}

// filterFamily gets the network of each link, not valid if it has none.
func (t *Topology) filterFamily(networks []netip.Prefix) error {
	var errs []error
	first := true
	for i, l := range t.Links {
		for j, n := range networks {
			if i == j || !n.IsValid() {
				continue
			}
			if first {
				first = false
				if err := moveLocalRule(family(n.Addr())); err != nil {
					return err
				}
			}
			r := netlink.NewRule()
			r.Family, r.Priority, r.Type = family(n.Addr()), ingressPriority, unix.RTN_BLACKHOLE
			r.IifName, r.Src = l.Name, ipNet(n)
			errs = append(errs, netlink.RuleAdd(r))
		}
	}
	return errors.Join(errs...)
}

func moveLocalRule(family int) error {
	r := netlink.NewRule()
	r.Family, r.Table, r.Priority = family, unix.RT_TABLE_LOCAL, localPriority
	if err := netlink.RuleAdd(r); err != nil {
		return err
	}
	r.Priority = 0
	return netlink.RuleDel(r)
}
