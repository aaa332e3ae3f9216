package config

import (
	"fmt"
	"math"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"mpproxy/config/tomlfile"
)

// Path selects interfaces and says how they are used.
type Path struct {
	Interface string     // name or pattern of path.Match; never empty; alternative names count
	Name      string     // 1 to 32 letters, digits, '.', '_', '-'; empty: the interface's name
	Gateway   netip.Addr // the way by this gateway only; invalid: a path for each gateway
	Table     uint32     // routing table whose default routes count; 0: the main one
	Rank      int        // 1 (best) to 255
	Metered   bool       // costs money or volume
	MinSignal int        // Wi-Fi signal in dBm, -100 to -20: below it the path ranks behind the others; 0: none
}

type rawPath struct {
	tomlfile.Mark
	Interface tomlfile.Field[string] `toml:"interface"`
	Name      tomlfile.Field[string] `toml:"name"`
	Gateway   tomlfile.Field[string] `toml:"gateway"`
	Table     tomlfile.Field[int64]  `toml:"table"`
	Rank      tomlfile.Field[int64]  `toml:"rank"`
	Metered   tomlfile.Field[bool]   `toml:"metered"`
	MinSignal tomlfile.Field[string] `toml:"min_signal"`
}

func (c check) paths(raw []rawPath) (paths []Path) {
	for i, r := range raw {
		p := Path{
			Interface: r.Interface.Value,
			Name:      r.Name.Value,
			Gateway:   c.gateway(r.Gateway),
			Table:     c.table(r.Table),
			Rank:      c.Number(r.Rank, min(i+1, maxRank), 1, maxRank),
			Metered:   r.Metered.Value,
			MinSignal: c.signal(r.MinSignal),
		}
		if r.Interface.IsAbsent() {
			c.At(r.Mark, "the path has no interface: add interface = \"…\", a name or a pattern such as \"wlan*\"")
		} else if err := checkPattern(p.Interface); err != nil && r.Interface.IsSet {
			c.At(r.Interface.Mark, "%v", err)
		} else if j := slices.IndexFunc(paths, func(o Path) bool { return o.Interface == p.Interface && o.Gateway == p.Gateway && o.Table == p.Table }); j >= 0 && r.Interface.IsSet {
			c.At(r.Interface.Mark, "%q is already in line %d: the first [[path]] that matches an interface is used", p.Interface, raw[j].Interface.Line)
		}
		if r.Name.IsSet {
			if err := checkPathName(p.Name); err != nil {
				c.At(r.Name.Mark, "%v", err)
			} else if j := slices.IndexFunc(paths, func(o Path) bool { return o.Name == p.Name }); j >= 0 {
				c.At(r.Name.Mark, "%q is already in line %d: give each path a name of its own", p.Name, raw[j].Name.Line)
			}
		}
		paths = append(paths, p)
	}
	return paths
}

const maxRank = 255

// checkPattern accepts what can match an interface: the kernel's names have 1 to
// 15 bytes without '/', ':' and space (dev_valid_name in net/core/dev.c).
func checkPattern(pattern string) error {
	if _, err := path.Match(pattern, "x"); err != nil {
		return fmt.Errorf("%q is not a pattern: '[' needs its ']' and '\\' something behind it; use names such as \"wlan0\" or patterns such as \"wlan*\"", pattern)
	}
	isPlain := !strings.ContainsAny(pattern, `*?[\`)
	if pattern == "" || strings.ContainsAny(pattern, "/: \t\n") || isPlain && len(pattern) > 15 || len(pattern) > 64 {
		return fmt.Errorf("%q cannot match an interface: interface names have 1 to 15 characters without '/', ':' and space", pattern)
	}
	return nil
}

func checkPathName(name string) error {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	if name == "" || len(name) > 32 || strings.Trim(name, letters) != "" || strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(letters, r) }) {
		return fmt.Errorf("%q is not a path name: allowed are 1 to 32 letters, digits, '.', '_' and '-'", name)
	}
	return nil
}

// ParsePath reads the flag form of a path: IFACE, IFACE@GATEWAY, either of them with
// ":metered" behind. Its Rank is 0: the caller gives ranks by the order of flags.
func ParsePath(s string) (Path, error) {
	rest, metered := strings.CutSuffix(s, ":metered")
	iface, gateway, hasGateway := strings.Cut(rest, "@")
	p := Path{Interface: iface, Metered: metered}
	if hasGateway {
		var err error
		if p.Gateway, err = netip.ParseAddr(gateway); err != nil || !isGateway(p.Gateway) {
			return Path{}, fmt.Errorf("path %q: %q is no address of a gateway: write INTERFACE@ADDRESS, such as eth0@192.0.2.1", s, gateway)
		}
	} else if _, option, has := strings.Cut(rest, ":"); has {
		return Path{}, fmt.Errorf("path %q: %q is not known behind the colon: write INTERFACE or INTERFACE:metered", s, option)
	}
	if err := checkPattern(iface); err != nil {
		return Path{}, fmt.Errorf("path: %w", err)
	}
	return p, nil
}

// gateway reads an address without a zone: the interface is known.
func (c check) gateway(f tomlfile.Field[string]) netip.Addr {
	if !f.IsSet {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(f.Value)
	if err != nil || !isGateway(a) {
		c.At(f.Mark, "%q is no address of a gateway: write one such as \"192.0.2.1\" or \"fe80::1\"", f.Value)
		return netip.Addr{}
	}
	return a
}

func isGateway(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a.Zone() == "" && !a.Is4In6()
}

// The routing tables that a path cannot use: the kernel's for local addresses, and
// those that mpproxy makes.
const (
	localTable                  = 255
	firstOwnTable, lastOwnTable = 27000, 27255
)

func (c check) table(f tomlfile.Field[int64]) uint32 {
	if !f.IsSet {
		return 0
	}
	switch t := f.Value; {
	case t < 1 || t > math.MaxUint32:
		c.At(f.Mark, "%d is no routing table: allowed is 1 to %d", t, uint32(math.MaxUint32))
	case t == localTable, t >= firstOwnTable && t <= lastOwnTable:
		c.At(f.Mark, "table %d has no default routes of its own: %d is the kernel's, and %d to %d are what mpproxy makes", t, localTable, firstOwnTable, lastOwnTable)
	default:
		return uint32(t)
	}
	return 0
}

// The range of a path's min_signal, in dBm.
const (
	leastSignal = -100
	mostSignal  = -20
)

// signal reads "-75dBm"; a space before the unit is fine. 0 is not set.
func (c check) signal(f tomlfile.Field[string]) int {
	if !f.IsSet {
		return 0
	}
	n, unit := strings.CutSuffix(f.Value, "dBm")
	v, err := strconv.Atoi(strings.TrimSpace(n))
	if !unit || err != nil || v < leastSignal || v > mostSignal {
		c.At(f.Mark, "%q is not a signal: use %s to %s", f.Value, formatSignal(leastSignal), formatSignal(mostSignal))
		return 0
	}
	return v
}

func formatSignal(dBm int) string { return fmt.Sprintf("%ddBm", dBm) }
