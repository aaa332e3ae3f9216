package main

import (
	"fmt"
	"slices"
	"strings"

	"mpproxy/proxy/rules"

	"mpproxy/config"
	"mpproxy/internal/collect"
	"mpproxy/internal/status"
	"mpproxy/pathctl/netpath"
)

// missingForRules says which rules cannot do now what they say. Why the client
// does not steer although it should is package collect's to say.
func missingForRules(conf config.Client, paths []netpath.Path) (out []status.Missing) {
	if conf.PathManager != config.PathManagerUserSpace && len(conf.Rules) > 0 {
		out = append(out, status.Missing{
			What:   collect.RulesAndModes,
			Effect: "the kernel decides about subflows: it knows neither modes nor rules",
			Advice: "set path_manager = \"userspace\"",
		})
	}
	for _, r := range conf.Rules {
		if why := noneUp(r, paths); why != "" {
			out = append(out, status.Missing{
				What:   "a path for " + r.Name,
				Effect: "connections that this rule holds for fail (" + why + ")",
				Advice: "bring one of its paths up, or add another one to its paths",
			})
		}
	}
	return out
}

// noneUp says why none of the paths that a rule allows can be used; empty when
// one can.
func noneUp(r rules.Rule, paths []netpath.Path) string {
	var why []string
	for _, name := range r.Paths {
		i := slices.IndexFunc(paths, func(p netpath.Path) bool { return p.Name == name })
		switch {
		case i < 0:
			why = append(why, name+" is not there")
		case paths[i].State == netpath.Up:
			return ""
		default:
			why = append(why, fmt.Sprintf("%s is %v", name, paths[i].State))
		}
	}
	return strings.Join(why, ", ")
}
