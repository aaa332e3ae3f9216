package main

import (
	"fmt"
	"slices"
	"strings"

	"mpproxy/config"
	"mpproxy/internal/status"
	"mpproxy/pathctl"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/policy"
)

// missingForRules says which rules cannot do now what they say.
func missingForRules(conf config.Client, paths []netpath.Path, kernel pathctl.KernelStatus) (out []status.Missing) {
	if !kernel.UserSpace && (len(conf.Rules) > 0 || conf.PathManager == config.PathManagerUserSpace) {
		out = append(out, missingSteering(conf, kernel))
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

func missingSteering(conf config.Client, kernel pathctl.KernelStatus) status.Missing {
	m := status.Missing{
		What:   "rules and modes",
		Effect: "the kernel's path manager makes a subflow on every path whatever mode and rule say",
		Advice: "set path_manager = \"userspace\"",
	}
	if conf.PathManager != config.PathManagerUserSpace {
		return m
	}
	m.Advice = "run as root, with AmbientCapabilities=CAP_NET_ADMIN under systemd, or after: setcap cap_net_admin+ep mpproxy-client; set path_manager = \"kernel\" if this is as it should be"
	if kernel.CannotSteer != nil {
		m.Effect += fmt.Sprintf(" (%v)", kernel.CannotSteer)
	}
	return m
}

// noneUp says why none of the paths that a rule allows can be used; empty when
// one can.
func noneUp(r policy.Rule, paths []netpath.Path) string {
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
