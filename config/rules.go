package config

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"mpproxy/pathctl/policy"
)

// rawRule is one [[rule]].
type rawRule struct {
	mark
	Name      field[string]    `toml:"name"`
	Ports     field[[]item]    `toml:"ports" example:"[22, \"5060-5061\"]"`
	Hosts     field[[]element] `toml:"hosts" example:"[\"example.com\"]"`
	CIDRs     field[[]element] `toml:"cidrs" example:"[\"192.0.2.0/24\"]"`
	Listeners field[[]element] `toml:"listeners" example:"[\"127.0.0.1:1080\"]"`
	Users     field[[]element] `toml:"users" example:"[\"alice\"]"`
	Mode      field[string]    `toml:"mode"`
	Enforce   field[bool]      `toml:"enforce"`
	Paths     field[[]element] `toml:"paths" example:"[\"wifi\"]"`
}

// rules reads the rules of a client, whose other values are known by now.
func (c check) rules(raw []rawRule, client Client) (rules []policy.Rule) {
	for i, r := range raw {
		rule := policy.Rule{
			Name:      c.ruleName(r.Name, i, raw[:i]),
			Ports:     c.ports(r.Ports),
			Hosts:     c.hosts(r.Hosts),
			CIDRs:     c.prefixes(r.CIDRs),
			Listeners: c.ruleListeners(r.Listeners, client.Socks.Listen),
			Users:     c.ruleUsers(r.Users, client),
			Mode:      c.modeName(r.Mode, "", client.Modes),
			Enforce:   r.Enforce.value,
			Paths:     c.rulePaths(r.Paths, client.Paths),
		}
		if r.Mode.isAbsent() && r.Paths.isAbsent() {
			c.at(r.mark, "the rule changes nothing: add mode = \"…\", paths = [\"…\"] or both")
		}
		if rule.Enforce && r.Mode.isAbsent() {
			c.at(r.Enforce.mark, "there is no mode to enforce: add mode = \"…\"; paths always hold")
		}
		rules = append(rules, rule)
	}
	return rules
}

// ruleName names a rule for people: by its place unless the file gives a name.
func (c check) ruleName(f field[string], i int, before []rawRule) string {
	if !f.isSet {
		return fmt.Sprintf("rule %d", i+1)
	}
	if err := checkPathName(f.value); err != nil {
		c.at(f.mark, "%q is not a rule's name: allowed are 1 to 32 letters, digits, '.', '_' and '-'", f.value)
	} else if j := slices.IndexFunc(before, func(o rawRule) bool { return o.Name.isSet && o.Name.value == f.value }); j >= 0 {
		c.at(f.mark, "%q is already in line %d: give each rule a name of its own", f.value, before[j].Name.line)
	}
	return f.value
}

// ports reads ports, 22, and ranges, "5060-5061".
func (c check) ports(f field[[]item]) (out []policy.PortRange) {
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

func parsePorts(v any) (policy.PortRange, bool) {
	var r policy.PortRange
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
	rule := policy.Rule{Ports: []policy.PortRange{r}}
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
		rule := policy.Rule{Hosts: []string{e.value}}
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
		rule := policy.Rule{Listeners: []netip.AddrPort{ap}}
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
func reaches(l netip.AddrPort, rule policy.Rule) bool {
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
	_, ok := policy.Match([]policy.Rule{rule}, policy.Destination{}, l, "")
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
// an application shows the name without any password, as it does a mode.
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

// RulesUnderKernel says what rules cannot do where the kernel makes the
// subflows.
const RulesUnderKernel = "with path_manager = \"kernel\" a rule decides only on which of its paths a connection starts: " +
	"the kernel's path manager adds subflows on the other paths whatever mode and paths the rule names"

// ruleFindings are worth a warning, not an error.
func (c Client) ruleFindings() (warnings []string) {
	if len(c.Rules) > 0 && c.PathManager == PathManagerKernel {
		warnings = append(warnings, RulesUnderKernel)
	}
	for i, r := range c.Rules {
		all := len(r.Ports)+len(r.Hosts)+len(r.CIDRs)+len(r.Listeners)+len(r.Users) == 0
		if behind := len(c.Rules) - 1 - i; all && behind > 0 {
			warnings = append(warnings, fmt.Sprintf("%s has no condition and holds for every connection: the %d behind it are never reached", r.Name, behind))
			break
		}
	}
	return warnings
}

// checkRulePaths finds rules whose paths the flags have taken away.
func (c Client) checkRulePaths(add func(key, message string)) {
	for _, r := range c.Rules {
		for _, p := range r.Paths {
			if err := pathExists(p, c.Paths); err != nil {
				add("rule.paths", fmt.Sprintf("%s: %v", r.Name, err))
			}
		}
	}
}

func (w *tomlWriter) rule(r policy.Rule) {
	w.tables("rule")
	if !strings.Contains(r.Name, " ") { // else it is its place
		w.str("name", r.Name)
	}
	if len(r.Ports) > 0 {
		w.raw("ports", portList(r.Ports))
	}
	w.strs("hosts", r.Hosts)
	if len(r.CIDRs) > 0 {
		w.raw("cidrs", quoteList(r.CIDRs))
	}
	if len(r.Listeners) > 0 {
		w.raw("listeners", quoteList(r.Listeners))
	}
	w.strs("users", r.Users)
	if r.Mode != "" {
		w.str("mode", r.Mode)
		w.bool("enforce", r.Enforce)
	}
	w.strs("paths", r.Paths)
}

func portList(ports []policy.PortRange) string {
	items := make([]string, len(ports))
	for i, p := range ports {
		if items[i] = strconv.Itoa(int(p.First)); p.First != p.Last {
			items[i] = quote(fmt.Sprintf("%d-%d", p.First, p.Last))
		}
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// strs writes a list that has something in it.
func (w *tomlWriter) strs(key string, list []string) {
	if len(list) == 0 {
		return
	}
	items := make([]string, len(list))
	for i, s := range list {
		items[i] = quote(s)
	}
	w.raw(key, "["+strings.Join(items, ", ")+"]")
}
