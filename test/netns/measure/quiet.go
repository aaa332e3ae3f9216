package measure

import (
	"context"
	"errors"

	"mpproxy/test/netns"
)

// WithoutIPv6 is rig.Config.Prepare for links that have no IPv6: neither end
// says then what IPv6 hosts say by themselves, and each frame that is counted
// has to do with what is measured.
func WithoutIPv6(ctx context.Context, topo *netns.Topology) error {
	var errs []error
	for _, h := range []*netns.Host{topo.Client, topo.Concentrator} {
		errs = append(errs, h.SetSysctl(ctx, "net.ipv6.conf.all.disable_ipv6", "1"))
	}
	return errors.Join(errs...)
}
