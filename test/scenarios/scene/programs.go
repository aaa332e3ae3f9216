package scene

import (
	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

// End is one of both programs, with what the scenarios need.
type End struct {
	Name    string
	Port    uint16
	Config  func(drain string) rig.Config
	Process func(*rig.Rig) *netns.Process
}

// roomyLinks drop nothing: nobody sends a reset again that met a full queue on each
// link, and a peer that only receives notices by keep-alive, minutes later.
func roomyLinks() []netns.LinkConfig {
	links := ClientLinks()
	for i := range links {
		links[i].Queue = 64 << 20
	}
	return links
}

// Ends are both programs. Their configuration has a drain timeout.
var Ends = []End{
	{"client", 1080, func(drain string) rig.Config {
		return rig.Config{Links: roomyLinks(), EditClient: With("limits.drain_timeout = " + drain)}
	}, func(r *rig.Rig) *netns.Process { return r.ClientDaemon }},
	{"concentrator", rig.Port, func(drain string) rig.Config {
		return rig.Config{Links: roomyLinks(), EditServer: With("limits.drain_timeout = " + drain)}
	}, func(r *rig.Rig) *netns.Process { return r.Server }},
}
