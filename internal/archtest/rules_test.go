package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// A rule finds what a set of packages does against it.
type rule struct {
	name  string
	check func([]pkg) []string
}

// rules are the import directions, one for each sentence that says so in
// docs/architecture.md.
var rules = []rule{
	{"cmd imports all, nobody imports cmd", forbid(allImports, "", "cmd")},
	{"proxy does not import pathctl", forbid(closure, "proxy", "pathctl")},
	{"pathctl does not import proxy", forbid(closure, "pathctl", "proxy")},
	{"proxy, the nouns, imports none of its rooms", rootWithout("proxy", "proxy")},
	{"accounts is a leaf", leaf("accounts")},
	{"accounts knows neither protocols nor connections", forbid(imports, "accounts", "proxy", "pathctl", "internal")},
	{"proxy asks for users through its own interface", forbid(closure, "proxy", "accounts")},
	{"proxy/socks knows no rooms", forbid(closure, "proxy/socks", "proxy/egress", "proxy/front", "proxy/ingress", "proxy/leg", "proxy/serve")},
	{"a way in knows no legs", forbid(imports, "proxy/ingress", "proxy/leg", "proxy/front", "proxy/egress")},
	{"proxy/leg and proxy/egress do not know each other", forbid(imports, "proxy/egress", "proxy/leg", "proxy/front", "proxy/ingress")},
	{"proxy/leg knows neither ways in nor accepting", forbid(imports, "proxy/leg", "proxy/egress", "proxy/front", "proxy/ingress", "proxy/serve")},
	{"pathctl imports of mptcpsock only uapi and subdiag", forbid(imports, "pathctl", "mptcpsock", "mptcpsock/uapi", "mptcpsock/subdiag")},
	{"mptcpsock does not import the programs' packages", forbid(imports, "mptcpsock", "config", "internal", "internal/bpfenv", "internal/hostaddr", "proxy")},
	{"mptcpsock imports nothing of pathctl, mptcpsock/control apart", ground},
	{"mptcpsock/uapi is a leaf", leaf("mptcpsock/uapi")},
	{"pathctl/reason is a leaf", leaf("pathctl/reason")},
	{"pathctl/pathstate knows reasons alone", leaf("pathctl/pathstate", "pathctl/reason")},
	{"pathctl/policy stands on pathstate and reasons alone", leaf("pathctl/policy", "pathctl/pathstate", "pathctl/reason")},
	{"pathctl/policy/mode stands on policy alone", leaf("pathctl/policy/mode", "pathctl/policy", "pathctl/reason")},
	{"pathctl/estimate knows no kernel", forbid(imports, "pathctl/estimate", "internal", "mptcpsock", "mptcpsock/uapi", "pathctl", "pathctl/policy")},
	{"the engine imports neither facade nor host state", forbid(imports, "pathctl/engine", "internal", "pathctl", "pathctl/estimate", "pathctl/mptcppm", "pathctl/netpath", "pathctl/pathstate", "pathctl/policy", "pathctl/reason", "pathctl/subflowbpf")},
	{"netlink belongs to pathctl/mptcppm and pathctl/netpath", only(netlinkModule, "pathctl/mptcppm", "pathctl/netpath", "test")},
	{"pathctl/netpath/rtnl knows no paths", forbid(closure, "pathctl/netpath/rtnl", "internal", "mptcpsock", "pathctl", "pathctl/netpath/rtnl", "proxy")},
	{"go-socks5 belongs to proxy/socks", only(module("github.com/things-go/go-socks5"), "proxy/socks")},
	{"toml belongs to config/tomlfile", only(module("github.com/BurntSushi/toml"), "config/tomlfile")},
	{"config/tomlfile knows no configuration", forbid(closure, "config/tomlfile", "config", "config/configtest", "internal", "pathctl", "proxy")},
	{"links know no paths and no files", forbid(closure, "config/joinlink", "accounts", "config/userfile", "pathctl")},
	{"prometheus belongs to internal/metrics", only(module("github.com/prometheus"), "internal/metrics", "cmd", "test/soak")},
	{"mptcpsock pulls in nothing of the proxy", light},
	{"test harnesses stay out of the programs", programsWithout("test", "proxy/proxytest", "testing")},
}

func imports(p pkg) []string    { return p.Imports }
func allImports(p pkg) []string { return p.all() }

// closure is what a package needs, directly or through others, and what its tests import.
func closure(p pkg) []string {
	all := append(slices.Clone(p.Deps), p.all()...)
	slices.Sort(all)
	return slices.Compact(all)
}

// rootWithout: the package itself, not those below it, needs none within target.
func rootWithout(name, target string) func([]pkg) []string {
	return func(pkgs []pkg) (found []string) {
		for _, p := range pkgs {
			for _, dep := range p.Deps {
				if p.name() == name && within(below(dep), target) {
					found = append(found, fmt.Sprintf("%s imports %s", name, below(dep)))
				}
			}
		}
		return found
	}
}

// forbid: no package within from ("" is every one) imports one within any of
// targets. A target that lies within another is an exception from it.
func forbid(of func(pkg) []string, from string, targets ...string) func([]pkg) []string {
	return func(pkgs []pkg) (found []string) {
		for _, p := range pkgs {
			if from != "" && !within(p.name(), from) {
				continue
			}
			for _, imp := range of(p) {
				if ours(imp) && imp != p.ImportPath && hits(below(imp), targets) {
					found = append(found, fmt.Sprintf("%s imports %s", p.name(), below(imp)))
				}
			}
		}
		return found
	}
}

// hits says whether path is within an odd number of targets.
func hits(path string, targets []string) bool {
	n := 0
	for _, t := range targets {
		if within(path, t) {
			n++
		}
	}
	return n%2 == 1
}

// leaf: the package imports the standard library only, but for those of ours.
func leaf(name string, but ...string) func([]pkg) []string {
	return func(pkgs []pkg) (found []string) {
		i := slices.IndexFunc(pkgs, func(p pkg) bool { return p.name() == name })
		if i < 0 {
			return []string{"there is no package " + name}
		}
		for _, imp := range pkgs[i].Imports {
			if !standard(imp) && !slices.Contains(but, below(imp)) {
				found = append(found, fmt.Sprintf("%s imports %s", name, imp))
			}
		}
		return found
	}
}

// only: imports that match are made by packages within these, and by them.
// Tests elsewhere may use a netlink package that is not the program's own.
func only(match func(string) bool, where ...string) func([]pkg) []string {
	return func(pkgs []pkg) (found []string) {
		used := false
		for _, p := range pkgs {
			may := slices.ContainsFunc(where, func(w string) bool { return within(p.name(), w) })
			for _, imp := range p.Imports {
				switch {
				case match(imp) && may:
					used = true
				case match(imp):
					found = append(found, fmt.Sprintf("%s imports %s", p.name(), imp))
				}
			}
		}
		if !used {
			found = append(found, fmt.Sprintf("none of %v imports it: the rule is out of date", where))
		}
		return found
	}
}

func module(path string) func(string) bool {
	return func(imp string) bool { return within(imp, path) }
}

// netlinkModule matches every netlink package that we know of.
func netlinkModule(imp string) bool {
	for _, m := range []string{
		"github.com/mdlayher/netlink", "github.com/mdlayher/genetlink",
		"github.com/jsimonetti/rtnetlink", "github.com/vishvananda/netlink",
	} {
		if within(imp, m) {
			return true
		}
	}
	return false
}

// ground: mptcpsock is what the others stand on. A program that imports it gets
// sockets, and neither an engine, nor netlink, nor what loads eBPF programs. The
// engine comes with mptcpsock/control, and eBPF with mptcpsock/subopt.
func ground(pkgs []pkg) (found []string) {
	for _, p := range pkgs {
		if !within(p.name(), "mptcpsock") || within(p.name(), "mptcpsock/control") {
			continue
		}
		for _, dep := range p.Deps {
			ebpf := within(dep, "github.com/cilium/ebpf") && !within(p.name(), "mptcpsock/subopt")
			if within(below(dep), "pathctl") || within(below(dep), "mptcpsock/control") || netlinkModule(dep) || ebpf {
				found = append(found, fmt.Sprintf("%s depends on %s", p.name(), dep))
			}
		}
	}
	return found
}

// light: a program that uses mptcpsock and mptcpsock/control, as the examples do,
// gets the sockets and the controller, and not the proxy.
func light(pkgs []pkg) (found []string) {
	for _, p := range pkgs {
		if !within(p.name(), "mptcpsock") && !within(p.name(), "examples") {
			continue
		}
		for _, dep := range p.Deps {
			heavy := ours(dep) && hits(below(dep), []string{"proxy", "config", "internal", "internal/bpfenv", "internal/hostaddr", "internal/hoststate"})
			if heavy || strings.Contains(dep, "/toml") || strings.Contains(dep, "prometheus") {
				found = append(found, fmt.Sprintf("%s depends on %s", p.name(), dep))
			}
		}
	}
	return found
}

// programsWithout: no command depends on packages within these.
func programsWithout(names ...string) func([]pkg) []string {
	return func(pkgs []pkg) (found []string) {
		for _, p := range pkgs {
			if !within(p.name(), "cmd") {
				continue
			}
			for _, dep := range p.Deps {
				if slices.ContainsFunc(names, func(n string) bool { return within(below(dep), n) }) {
					found = append(found, fmt.Sprintf("%s depends on %s", p.name(), dep))
				}
			}
		}
		return found
	}
}
