package steer

import (
	"net/netip"

	"mpproxy/pathctl/policy"
	"mpproxy/proxy"
)

// Rules choose mode and paths of a connection: the first one that holds. It is
// a front.Chooser.
//
// The paths of a rule hold for everybody. Its mode gives way to the one that an
// application has asked for itself, unless the rule is enforced.
type Rules []policy.Rule

// Choose returns what the rules say about a flow.
func (rs Rules) Choose(f *proxy.Flow, listener netip.AddrPort) proxy.Choice {
	to, who := f.To, f.Who
	choice := proxy.Choice{Mode: who.Mode}
	rule, ok := policy.Match(rs, policy.Destination{Host: to.Name, Addr: to.Addr, Port: to.Port}, listener, who.User)
	if !ok {
		return choice
	}
	choice.Rule, choice.Paths = rule.Name, rule.Paths
	if rule.Mode != "" && (rule.Enforce || !who.Asked) {
		choice.Mode = rule.Mode
	}
	return choice
}
