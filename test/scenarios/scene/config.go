package scene

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

// ManagedBy makes a path manager that of both ends.
func ManagedBy(manager string, cfg rig.Config) rig.Config {
	set := With(fmt.Sprintf("path_manager = %q", manager))
	cfg.EditServer, cfg.EditClient = Both(cfg.EditServer, set), Both(cfg.EditClient, set)
	return cfg
}

// Both makes one edit of two, the first of which may be nil.
func Both(a, b func(string) string) func(string) string {
	if a == nil {
		return b
	}
	return func(toml string) string { return b(a(toml)) }
}

// Steered is a rig in which mpproxy itself is the path manager at both ends;
// entries are further ones of the client's configuration.
func Steered(links []netns.LinkConfig, entries ...string) rig.Config {
	return ManagedBy("userspace", rig.Config{Links: links, EditClient: With(entries...)})
}

// With returns a change of a configuration file: each entry is
// "table.key = value", or "key = value" for the top of the file.
func With(entries ...string) func(string) string {
	return func(toml string) string {
		for _, e := range entries {
			key, value, _ := strings.Cut(e, " = ")
			i := strings.LastIndexByte(key, '.')
			if i < 0 {
				toml = e + "\n" + toml
				continue
			}
			header := "\n[" + key[:i] + "]\n"
			line := fmt.Sprintf("%s = %s\n", key[i+1:], value)
			if at := strings.Index(toml, header); at >= 0 {
				at += len(header)
				toml = toml[:at] + line + toml[at:]
			} else {
				toml += header + line
			}
		}
		return toml
	}
}

// ClientLinks are quick, with a delay that keeps subflows apart.
func ClientLinks() []netns.LinkConfig { return rig.Pair(200, 2, 100, 4) }

// SmallBuffers keeps programs and kernels from taking most of a transfer ahead
// of a gate.
func SmallBuffers(ctx context.Context, topo *netns.Topology) error {
	var errs []error
	for _, h := range []*netns.Host{topo.Client, topo.Concentrator, topo.Destination} {
		for _, name := range []string{"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"} {
			errs = append(errs, h.SetSysctl(ctx, name, "4096 131072 524288"))
		}
	}
	return errors.Join(errs...)
}

// SmallReceiveBuffer is the same for the buffers that a program asks for.
var SmallReceiveBuffer = With(`limits.receive_buffer = "1MiB"`)

// Families gives the links of a rig the address families of the case.
func Families(links []netns.LinkConfig, v4, v6 []bool) []netns.LinkConfig {
	for i := range links {
		links[i].V4, links[i].V6 = v4[i], v6[i]
	}
	return links
}

// Managers are the values of path_manager, the default first.
var Managers = []string{"userspace", "kernel"}
