package rtnl

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// String is as `ip rule` shows it.
func (r Rule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:", r.Priority)
	if r.Inverted {
		b.WriteString(" not")
	}
	from := "all"
	if r.Src.IsValid() {
		from = strings.TrimSuffix(strings.TrimSuffix(r.Src.String(), "/32"), "/128")
	}
	b.WriteString(" from " + from)
	if r.Dst.IsValid() {
		b.WriteString(" to " + r.Dst.String())
	}
	if r.Mark != 0 || r.Mask != 0 {
		fmt.Fprintf(&b, " fwmark %#x/%#x", r.Mark, r.Mask)
	}
	for _, i := range [][2]string{{"iif", r.IIF}, {"oif", r.OIF}} {
		if i[1] != "" {
			b.WriteString(" " + i[0] + " " + i[1])
		}
	}
	switch r.Action {
	case 0:
		fmt.Fprintf(&b, " lookup %d", r.Table)
	case unix.FR_ACT_BLACKHOLE:
		b.WriteString(" blackhole")
	case unix.FR_ACT_UNREACHABLE:
		b.WriteString(" unreachable")
	case unix.FR_ACT_PROHIBIT:
		b.WriteString(" prohibit")
	}
	return b.String()
}
