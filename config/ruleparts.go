package config

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"mpproxy/proxy"
	"mpproxy/proxy/rules"
)

// ports reads ports, 22, and ranges, "5060-5061".
func (c check) ports(f field[[]item]) (out []rules.PortRange) {
	for _, e := range f.value {
		r, ok := parsePorts(e.value)
		if !ok {
			c.at(e.mark, "%s is no port: write a number from 1 to 65535, or a range in quotes such as \"5060-5061\", the lower one first", showItem(e.value))
			continue
		}
		out = append(out, r)
	}
	return out
}

func parsePorts(v any) (rules.PortRange, bool) {
	var r rules.PortRange
	var ok bool
	switch v := v.(type) {
	case int64:
		r.First, ok = port(v)
		r.Last = r.First
	case string:
		first, last, isRange := strings.Cut(v, "-")
		if !isRange {
			last = first
		}
		a, errA := strconv.ParseInt(strings.TrimSpace(first), 10, 32)
		b, errB := strconv.ParseInt(strings.TrimSpace(last), 10, 32)
		var okA, okB bool
		r.First, okA = port(a)
		r.Last, okB = port(b)
		ok = errA == nil && errB == nil && okA && okB
	}
	rule := rules.Rule{Ports: []rules.PortRange{r}}
	return r, ok && rule.Validate(nil, nil) == nil
}

func port(n int64) (uint16, bool) { return uint16(n), n > 0 && n <= 65535 }

func showItem(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return describe(v, false)
}

// hosts reads host names. Addresses belong with the blocks: an application that
// asks for an address names no host.
func (c check) hosts(f field[[]element]) (out []string) {
	for _, e := range f.value {
		rule := rules.Rule{Hosts: []string{e.value}}
		if _, err := ParsePrefix(e.value); err == nil {
			c.at(e.mark, "%q is an address: write it in cidrs = [%q]", e.value, e.value)
		} else if err := rule.Validate(nil, nil); err != nil {
			c.at(e.mark, "%v", err)
		} else {
			out = append(out, e.value)
		}
	}
	return out
}

func (c check) ruleListeners(f field[[]element], listeners []netip.AddrPort) (out []netip.AddrPort) {
	for _, e := range f.value {
		ap, err := ParseListen(e.value)
		rule := rules.Rule{Listeners: []netip.AddrPort{ap}}
		switch {
		case err != nil:
			c.at(e.mark, "%v", err)
		case !slices.ContainsFunc(listeners, func(l netip.AddrPort) bool { return reaches(l, rule) }):
			c.at(e.mark, "%q is not listened on: the addresses in [socks] listen are %s%s", e.value, quoteList(listeners), didYouMean(e.value, texts(listeners)))
		default:
			out = append(out, ap)
		}
	}
	return out
}

// reaches reports whether a connection to a listener can be one that the rule
// is about: a listener on all addresses takes connections to each of them.
func reaches(l netip.AddrPort, rule rules.Rule) bool {
	if want := rule.Listeners[0]; l.Addr().IsUnspecified() || l.Port() == 0 {
		at := l.Addr()
		if at.IsUnspecified() {
			at = want.Addr()
		}
		port := l.Port()
		if port == 0 {
			port = want.Port()
		}
		l = netip.AddrPortFrom(at, port)
	}
	_, ok := (rules.Rules{rule}).Match(proxy.Destination{}, l, "")
	return ok
}

func texts(list []netip.AddrPort) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.String()
	}
	return out
}

// ruleUsers reads local user names. With [[socks.user]] they are these; without,
// an application shows any name, with any password.
func (c check) ruleUsers(f field[[]element], client Client) (out []string) {
	var known []string
	for _, u := range client.Socks.Users {
		known = append(known, u.Name)
	}
	for _, e := range f.value {
		_, isMode := ModeNamed(client.Modes, e.value)
		switch err := CheckUserName(e.value); {
		case err != nil:
			c.at(e.mark, "%v", err)
		case known != nil && !slices.Contains(known, e.value):
			c.at(e.mark, "there is no [[socks.user]] %q%s", e.value, didYouMean(e.value, known))
		case known == nil && isMode == nil:
			c.at(e.mark, "%q is a mode: without [[socks.user]] a user name that is a mode asks for it; choose another name", e.value)
		default:
			out = append(out, e.value)
		}
	}
	return out
}

func (c check) rulePaths(f field[[]element], paths []Path) (out []string) {
	if f.isSet && len(f.value) == 0 {
		c.at(f.mark, "the list is empty: name the paths that are allowed, the preferred one first, or remove the key")
	}
	for _, e := range f.value {
		switch err := pathExists(e.value, paths); {
		case err != nil:
			c.at(e.mark, "%v", err)
		case slices.Contains(out, e.value):
			c.at(e.mark, "%q is listed twice", e.value)
		default:
			out = append(out, e.value)
		}
	}
	return out
}

// pathExists says whether a path can have that name: one of the [[path]]s, or an
// interface's, where the paths are found by themselves or by a pattern.
func pathExists(name string, paths []Path) error {
	// A further gateway's or another table's path: INTERFACE@GATEWAY, INTERFACE@TABLE.
	if base, mark, has := strings.Cut(name, "@"); has && isMark(mark) {
		name = base
	}
	if len(paths) == 0 {
		return checkPathName(name)
	}
	var known []string
	for _, p := range paths {
		if match, err := path.Match(p.Interface, name); p.Name == "" && err == nil && match {
			return nil
		}
		// Further interfaces that match have names of their own: NAME-INTERFACE.
		if p.Name == name || p.Name != "" && strings.HasPrefix(name, p.Name+"-") {
			return nil
		}
		known = append(known, pathLabel(p))
	}
	return fmt.Errorf("there is no path %q: the paths are %s%s", name, quotedWords(known), didYouMean(name, known))
}

// isMark reports whether s is what netpath puts behind the name of an interface that
// has several ways out.
func isMark(s string) bool {
	_, addrErr := netip.ParseAddr(s)
	_, numberErr := strconv.ParseUint(s, 10, 32)
	return addrErr == nil || numberErr == nil
}

func pathLabel(p Path) string {
	if p.Name != "" {
		return p.Name
	}
	return p.Interface
}

// quotedWords writes "a", "b" and "c".
func quotedWords(words []string) string {
	return strings.Replace(quotedList(words), `" or "`, `" and "`, 1)
}
