package config

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"mpproxy/config/credential"
	"mpproxy/config/joinlink"
	"mpproxy/config/tomlfile"
	"mpproxy/proxy"
	"mpproxy/proxy/rules"
)

// ports reads ports, 22, and ranges, "5060-5061".
func (c check) ports(f tomlfile.Field[[]tomlfile.Item]) (out []rules.PortRange) {
	for _, e := range f.Value {
		r, ok := parsePorts(e.Value)
		if !ok {
			c.At(e.Mark, "%s is no port: write a number from 1 to 65535, or a range in quotes such as \"5060-5061\", the lower one first", showItem(e.Value))
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
	return tomlfile.Describe(v, false)
}

// hosts reads host names. Addresses belong with the blocks: an application that
// asks for an address names no host.
func (c check) hosts(f tomlfile.Field[[]tomlfile.Element]) (out []string) {
	for _, e := range f.Value {
		rule := rules.Rule{Hosts: []string{e.Value}}
		if _, err := ParsePrefix(e.Value); err == nil {
			c.At(e.Mark, "%q is an address: write it in cidrs = [%q]", e.Value, e.Value)
		} else if err := rule.Validate(nil, nil); err != nil {
			c.At(e.Mark, "%v", err)
		} else {
			out = append(out, e.Value)
		}
	}
	return out
}

func (c check) ruleListeners(f tomlfile.Field[[]tomlfile.Element], listeners []netip.AddrPort) (out []netip.AddrPort) {
	for _, e := range f.Value {
		ap, err := joinlink.ParseListen(e.Value)
		rule := rules.Rule{Listeners: []netip.AddrPort{ap}}
		switch {
		case err != nil:
			c.At(e.Mark, "%v", err)
		case !slices.ContainsFunc(listeners, func(l netip.AddrPort) bool { return reaches(l, rule) }):
			c.At(e.Mark, "%q is not listened on: the addresses in [socks] listen are %s%s", e.Value, tomlfile.QuoteList(listeners), tomlfile.DidYouMean(e.Value, texts(listeners)))
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
func (c check) ruleUsers(f tomlfile.Field[[]tomlfile.Element], client Client) (out []string) {
	var known []string
	for _, u := range client.Socks.Users {
		known = append(known, u.Name)
	}
	for _, e := range f.Value {
		_, isMode := ModeNamed(client.Modes, e.Value)
		switch err := credential.CheckUserName(e.Value); {
		case err != nil:
			c.At(e.Mark, "%v", err)
		case known != nil && !slices.Contains(known, e.Value):
			c.At(e.Mark, "there is no [[socks.user]] %q%s", e.Value, tomlfile.DidYouMean(e.Value, known))
		case known == nil && isMode == nil:
			c.At(e.Mark, "%q is a mode: without [[socks.user]] a user name that is a mode asks for it; choose another name", e.Value)
		default:
			out = append(out, e.Value)
		}
	}
	return out
}

func (c check) rulePaths(f tomlfile.Field[[]tomlfile.Element], paths []Path) (out []string) {
	if f.IsSet && len(f.Value) == 0 {
		c.At(f.Mark, "the list is empty: name the paths that are allowed, the preferred one first, or remove the key")
	}
	for _, e := range f.Value {
		switch err := pathExists(e.Value, paths); {
		case err != nil:
			c.At(e.Mark, "%v", err)
		case slices.Contains(out, e.Value):
			c.At(e.Mark, "%q is listed twice", e.Value)
		default:
			out = append(out, e.Value)
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
	return fmt.Errorf("there is no path %q: the paths are %s%s", name, quotedWords(known), tomlfile.DidYouMean(name, known))
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
	return strings.Replace(tomlfile.QuotedList(words), `" or "`, `" and "`, 1)
}
