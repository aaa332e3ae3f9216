package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mpproxy/config"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/policy"
)

func TestMissingForRules(t *testing.T) {
	wifi, lte := netpath.Path{Name: "wifi", State: netpath.Up}, netpath.Path{Name: "lte", State: netpath.Down}
	const kernel, user = config.PathManagerKernel, config.PathManagerUserSpace
	rule := func(paths ...string) policy.Rule { return policy.Rule{Name: "tv", Paths: paths} }
	for _, tt := range []struct {
		name    string
		manager config.PathManager
		rules   []policy.Rule
		want    []string // what, and the effect of what is about paths
	}{
		{"nothing asked for", kernel, nil, nil},
		{"all is well", user, []policy.Rule{rule(), rule("lte", "wifi")}, nil},
		{"rules with the kernel", kernel, []policy.Rule{rule()}, []string{"rules and modes"}},
		{"down", user, []policy.Rule{rule("lte", "sat")}, []string{"a path for tv: connections that this rule holds for fail (lte is down, sat is not there)"}},
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
