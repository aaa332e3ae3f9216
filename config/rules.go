package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mpproxy/proxy/rules"
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
func (c check) rules(raw []rawRule, client Client) (all rules.Rules) {
	for i, r := range raw {
		rule := rules.Rule{
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
		all = append(all, rule)
	}
	return all
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

func (w *tomlWriter) rule(r rules.Rule) {
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

func portList(ports []rules.PortRange) string {
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
