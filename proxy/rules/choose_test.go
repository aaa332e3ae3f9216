package rules

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/proxy"
)

func TestChoose(t *testing.T) {
	rules := Rules{
		{Name: "ssh", Ports: []PortRange{{First: 22, Last: 22}}, Mode: "handover"},
		{Name: "voip", Hosts: []string{"voip.example"}, Mode: "interactive", Enforce: true},
		{Name: "torrent", Users: []string{"torrent"}, Paths: []string{"lte", "dsl"}},
		{Name: "net", CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Mode: "single", Paths: []string{"dsl"}},
	}
	const none, asked = false, true
	who := func(user, mode string, asked bool) proxy.Identity {
		return proxy.Identity{User: user, Mode: mode, Asked: asked}
	}
	name := func(n string, port uint16) proxy.Destination { return proxy.Destination{Name: n, Port: port} }
	addr := proxy.Destination{Addr: netip.MustParseAddr("192.0.2.7"), Port: 443}
	for _, tt := range []struct {
		name string
		to   proxy.Destination
		who  proxy.Identity
		want proxy.Choice
	}{
		{"no rule", name("a.example", 80), who("", "aggregate", none), proxy.Choice{Mode: "aggregate"}},
		{"mode", name("a.example", 22), who("", "aggregate", none), proxy.Choice{Mode: "handover", Rule: "ssh"}},
		{"asked for another", name("a.example", 22), who("", "lazy", asked), proxy.Choice{Mode: "lazy", Rule: "ssh"}},
		{"enforced", name("b.voip.example", 80), who("", "lazy", asked), proxy.Choice{Mode: "interactive", Rule: "voip"}},
		{"paths only", name("a.example", 80), who("torrent", "aggregate", none), proxy.Choice{Mode: "aggregate", Paths: []string{"lte", "dsl"}, Rule: "torrent"}},
		{"paths hold although a mode was asked for", addr, who("", "lazy", asked), proxy.Choice{Mode: "lazy", Paths: []string{"dsl"}, Rule: "net"}},
		{"both", addr, who("", "aggregate", none), proxy.Choice{Mode: "single", Paths: []string{"dsl"}, Rule: "net"}},
		{"first wins", name("a.example", 22), who("torrent", "aggregate", none), proxy.Choice{Mode: "handover", Rule: "ssh"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := rules.Choose(&proxy.Flow{To: tt.to, Who: tt.who}, netip.MustParseAddrPort("127.0.0.1:1080"))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
