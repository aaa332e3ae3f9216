package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mpproxy/config/tomlfile"
	"mpproxy/proxy/rules"
)

// rawRule is one [[rule]].
type rawRule struct {
	tomlfile.Mark
	Name      tomlfile.Field[string]             `toml:"name"`
	Ports     tomlfile.Field[[]tomlfile.Item]    `toml:"ports" example:"[22, \"5060-5061\"]"`
	Hosts     tomlfile.Field[[]tomlfile.Element] `toml:"hosts" example:"[\"example.com\"]"`
	CIDRs     tomlfile.Field[[]tomlfile.Element] `toml:"cidrs" example:"[\"192.0.2.0/24\"]"`
	Listeners tomlfile.Field[[]tomlfile.Element] `toml:"listeners" example:"[\"127.0.0.1:1080\"]"`
	Users     tomlfile.Field[[]tomlfile.Element] `toml:"users" example:"[\"alice\"]"`
	Mode      tomlfile.Field[string]             `toml:"mode"`
	Enforce   tomlfile.Field[bool]               `toml:"enforce"`
	Paths     tomlfile.Field[[]tomlfile.Element] `toml:"paths" example:"[\"wifi\"]"`
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
			Enforce:   r.Enforce.Value,
			Paths:     c.rulePaths(r.Paths, client.Paths),
		}
		if r.Mode.IsAbsent() && r.Paths.IsAbsent() {
			c.At(r.Mark, "the rule changes nothing: add mode = \"…\", paths = [\"…\"] or both")
		}
		if rule.Enforce && r.Mode.IsAbsent() {
			c.At(r.Enforce.Mark, "there is no mode to enforce: add mode = \"…\"; paths always hold")
		}
		all = append(all, rule)
	}
	return all
}

// ruleName names a rule for people: by its place unless the file gives a name.
func (c check) ruleName(f tomlfile.Field[string], i int, before []rawRule) string {
	if !f.IsSet {
		return fmt.Sprintf("rule %d", i+1)
	}
	if err := checkPathName(f.Value); err != nil {
		c.At(f.Mark, "%q is not a rule's name: allowed are 1 to 32 letters, digits, '.', '_' and '-'", f.Value)
	} else if j := slices.IndexFunc(before, func(o rawRule) bool { return o.Name.IsSet && o.Name.Value == f.Value }); j >= 0 {
		c.At(f.Mark, "%q is already in line %d: give each rule a name of its own", f.Value, before[j].Name.Line)
	}
	return f.Value
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

func (w *writer) rule(r rules.Rule) {
	w.Tables("rule")
	if !strings.Contains(r.Name, " ") { // else it is its place
		w.Str("name", r.Name)
	}
	if len(r.Ports) > 0 {
		w.Raw("ports", portList(r.Ports))
	}
	w.strs("hosts", r.Hosts)
	if len(r.CIDRs) > 0 {
		w.Raw("cidrs", tomlfile.QuoteList(r.CIDRs))
	}
	if len(r.Listeners) > 0 {
		w.Raw("listeners", tomlfile.QuoteList(r.Listeners))
	}
	w.strs("users", r.Users)
	if r.Mode != "" {
		w.Str("mode", r.Mode)
		w.Bool("enforce", r.Enforce)
	}
	w.strs("paths", r.Paths)
}

func portList(ports []rules.PortRange) string {
	items := make([]string, len(ports))
	for i, p := range ports {
		if items[i] = strconv.Itoa(int(p.First)); p.First != p.Last {
			items[i] = tomlfile.Quote(fmt.Sprintf("%d-%d", p.First, p.Last))
		}
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// strs writes a list that has something in it.
func (w *writer) strs(key string, list []string) {
	if len(list) == 0 {
		return
	}
	items := make([]string, len(list))
	for i, s := range list {
		items[i] = tomlfile.Quote(s)
	}
	w.Raw(key, "["+strings.Join(items, ", ")+"]")
}
