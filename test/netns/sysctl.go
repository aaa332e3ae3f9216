package netns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
)

// Sysctl reads a value, "net.ipv4.ip_forward", in the host. Only net.* is per
// host. Names of interfaces with a dot need the form with slashes,
// "net/ipv4/conf/eth0.1/forwarding".
func (h *Host) Sysctl(ctx context.Context, name string) (value string, err error) {
	err = h.Do(ctx, func() error {
		var err error
		value, err = readSysctl(name)
		return err
	})
	return value, err
}

// SetSysctl sets a net.* value in the host. It refuses other names: they belong
// to the whole machine.
func (h *Host) SetSysctl(ctx context.Context, name, value string) error {
	return h.Do(ctx, func() error { return writeSysctl(name, value) })
}

func sysctlPath(name string) (string, error) {
	if !strings.Contains(name, "/") {
		name = strings.ReplaceAll(name, ".", "/")
	}
	path := filepath.Join("/proc/sys", name)
	if !isUnder(path, "/proc/sys/net") {
		return "", fmt.Errorf("netns: sysctl %s is not per network namespace", name)
	}
	return path, nil
}

// readSysctl and writeSysctl act on the namespace of the calling thread, which
// is what /proc/sys/net shows (fs/proc/proc_sysctl.c, net_ctl_root).
func readSysctl(name string) (string, error) {
	path, err := sysctlPath(name)
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}

func writeSysctl(name, value string) error {
	path, err := sysctlPath(name)
	if err != nil {
		return err
	}
	// Not os.WriteFile: it would try to create what does not exist.
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// defaultSysctls makes a new namespace behave as a distribution's machine, with
// IPv6 addresses that can be used at once.
func defaultSysctls(forward bool) error {
	settings := [][2]string{
		// Loose, what systemd ships: a strict check drops answers to
		// source-routed traffic.
		{"net.ipv4.conf.all.rp_filter", "2"},
		{"net.ipv4.conf.default.rp_filter", "2"},
		{"net.ipv6.conf.default.accept_dad", "0"},
		{"net.ipv6.conf.default.dad_transmits", "0"},
		{"net.ipv6.conf.default.accept_ra", "0"},
		{"net.ipv6.conf.default.router_solicitations", "0"},
		// Addresses survive link.SetCarrier, which sets one end of a veth down.
		{"net.ipv6.conf.default.keep_addr_on_down", "1"},
	}
	if forward {
		settings = append(settings,
			[2]string{"net.ipv4.ip_forward", "1"},
			[2]string{"net.ipv6.conf.all.forwarding", "1"},
			[2]string{"net.ipv6.conf.default.forwarding", "1"},
			[2]string{"net.ipv4.conf.all.rp_filter", "0"},
			[2]string{"net.ipv4.conf.default.rp_filter", "0"},
			// A router that answers every ARP request for any of its addresses
			// would make links look joined.
			[2]string{"net.ipv4.conf.all.arp_ignore", "1"},
			[2]string{"net.ipv4.conf.all.arp_announce", "2"})
	}
	for _, s := range settings {
		err := writeSysctl(s[0], s[1])
		if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(s[0], "net.ipv6.") {
			continue // a kernel without IPv6
		}
		if err != nil {
			return fmt.Errorf("sysctl %s=%s: %w", s[0], s[1], err)
		}
	}
	return nil
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}
