package netpath

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// String is as `ip rule` shows it.
func (r rule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:", r.priority)
	if r.inverted {
		b.WriteString(" not")
	}
	from := "all"
	if r.src.IsValid() {
		from = strings.TrimSuffix(strings.TrimSuffix(r.src.String(), "/32"), "/128")
	}
	b.WriteString(" from " + from)
	if r.dst.IsValid() {
		b.WriteString(" to " + r.dst.String())
	}
	if r.mark != 0 || r.mask != 0 {
		fmt.Fprintf(&b, " fwmark %#x/%#x", r.mark, r.mask)
	}
	for _, i := range [][2]string{{"iif", r.iif}, {"oif", r.oif}} {
		if i[1] != "" {
			b.WriteString(" " + i[0] + " " + i[1])
		}
	}
	switch r.action {
	case 0:
		fmt.Fprintf(&b, " lookup %d", r.table)
	case unix.FR_ACT_BLACKHOLE:
		b.WriteString(" blackhole")
	case unix.FR_ACT_UNREACHABLE:
		b.WriteString(" unreachable")
	case unix.FR_ACT_PROHIBIT:
		b.WriteString(" prohibit")
	}
	return b.String()
}
