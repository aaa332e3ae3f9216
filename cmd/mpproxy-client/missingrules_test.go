package main

import (
	"testing"

	"mpproxy/proxy/rules"

	"github.com/google/go-cmp/cmp"

	"mpproxy/config"
	"mpproxy/pathctl/netpath"
)

func TestMissingForRules(t *testing.T) {
	wifi, lte := netpath.Path{Name: "wifi", State: netpath.Up}, netpath.Path{Name: "lte", State: netpath.Down}
	const kernel, user = config.PathManagerKernel, config.PathManagerUserSpace
	rule := func(paths ...string) rules.Rule { return rules.Rule{Name: "tv", Paths: paths} }
	for _, tt := range []struct {
		name    string
		manager config.PathManager
		rules   rules.Rules
		want    []string // what, and the effect of what is about paths
	}{
		{"nothing asked for", kernel, nil, nil},
		{"all is well", user, rules.Rules{rule(), rule("lte", "wifi")}, nil},
		{"rules with the kernel", kernel, rules.Rules{rule()}, []string{"rules and modes"}},
		{"down", user, rules.Rules{rule("lte", "sat")}, []string{"a path for tv: connections that this rule holds for fail (lte is down, sat is not there)"}},
	} {
		conf := config.Client{PathManager: tt.manager, Rules: tt.rules}
		var got []string
		for _, m := range missingForRules(conf, []netpath.Path{wifi, lte}) {
			if m.Advice == "" {
				t.Errorf("%s: %s comes without advice", tt.name, m.What)
			}
			if m.What != "rules and modes" {
				m.What += ": " + m.Effect
			}
			got = append(got, m.What)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
