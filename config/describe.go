package config

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"mpproxy/proxy/rules"

	"mpproxy/pathctl/policy"
)

// Describe writes in words what rules and modes the file has, for people who
// want to see whether they were understood. It writes nothing if there are none.
func (c Client) Describe(w io.Writer) error {
	var b strings.Builder
	if len(c.Rules) > 0 {
		b.WriteString("The first rule that holds for a connection counts:\n")
	}
	for _, r := range c.Rules {
		fmt.Fprintf(&b, "  %s: %s → %s\n", r.Name, conditions(r), consequences(r))
	}
	describeModes(&b, c.Modes)
	_, err := io.WriteString(w, b.String())
	return err
}

// Describe is as Client.Describe.
func (s Server) Describe(w io.Writer) error {
	var b strings.Builder
	describeModes(&b, s.Modes)
	_, err := io.WriteString(w, b.String())
	return err
}

func conditions(r rules.Rule) string {
	var all []string
	add := func(before, text string) {
		if text != "" {
			all = append(all, before+text)
		}
	}
	add("port ", strings.ReplaceAll(strings.Trim(portList(r.Ports), "[]"), `"`, ""))
	to := strings.Join(r.Hosts, ", ")
	if to != "" && len(r.CIDRs) > 0 {
		to += ", "
	}
	add("to ", to+joined(r.CIDRs))
	add("at ", joined(r.Listeners))
	add("by user ", strings.Join(r.Users, ", "))
	if len(all) == 0 {
		return "every connection"
	}
	return strings.Join(all, " and ")
}

func consequences(r rules.Rule) string {
	var all []string
	switch {
	case r.Mode != "" && r.Enforce:
		all = append(all, "mode "+r.Mode+", whatever is asked for")
	case r.Mode != "":
		all = append(all, "mode "+r.Mode+" unless another one is asked for")
	}
	if len(r.Paths) > 0 {
		all = append(all, "over "+strings.Join(r.Paths, ", else ")+" only")
	}
	return strings.Join(all, ", ")
}

func joined[T netip.Prefix | netip.AddrPort](list []T) string {
	items := make([]string, len(list))
	for i, v := range list {
		items[i] = fmt.Sprint(v)
	}
	return strings.Join(items, ", ")
}

// describeModes lists the modes that are not as they are by default.
func describeModes(b *strings.Builder, specs []policy.Spec) {
	for _, d := range changedModes(specs) {
		name := d.spec.Name
		if d.isOwn {
			name += " (" + string(d.spec.Base) + ")"
		}
		fmt.Fprintf(b, "Mode %s:", name)
		for i, n := range d.numbers {
			if i > 0 {
				b.WriteString(",")
			}
			fmt.Fprintf(b, " %s %s instead of %s", n.param.Key, n.is, n.was)
		}
		if len(d.numbers) == 0 {
			b.WriteString(" as its base")
		}
		b.WriteString("\n")
	}
}
