package archtest

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestImportDirections(t *testing.T) {
	pkgs := loadPackages(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, f := range r.check(pkgs) {
				t.Error(f)
			}
		})
	}
}

// TestRulesCanFail shows each rule a module that breaks it.
func TestRulesCanFail(t *testing.T) {
	p := func(name string, imports ...string) pkg {
		return pkg{ImportPath: modulePath + "/" + name, Imports: imports, Deps: imports}
	}
	test := func(name string, imports ...string) pkg {
		return pkg{ImportPath: modulePath + "/" + name, TestImports: imports}
	}
	for _, tt := range []struct {
		rule string
		bad  pkg
		want string
	}{
		{"cmd imports all, nobody imports cmd", p("proxy", "mpproxy/cmd/mpproxy-client"), "proxy imports cmd/mpproxy-client"},
		{"proxy does not import pathctl", p("proxy/relay", "mpproxy/pathctl/policy"), "proxy/relay imports pathctl/policy"},
		{"proxy does not import pathctl", test("proxy", "mpproxy/pathctl"), "proxy imports pathctl"},
		{"proxy, the nouns, imports none of its rooms", p("proxy", "mpproxy/proxy/relay"), "proxy imports proxy/relay"},
		{"accounts is a leaf", p("accounts", "mpproxy/config"), "accounts imports mpproxy/config"},
		{"accounts knows neither protocols nor connections", p("accounts/file", "mpproxy/proxy/serve"), "accounts/file imports proxy/serve"},
		{"proxy asks for users through its own interface", p("proxy/egress", "mpproxy/accounts"), "proxy/egress imports accounts"},
		{"proxy/socks knows no rooms", p("proxy/socks", "mpproxy/proxy/leg"), "proxy/socks imports proxy/leg"},
		{"a way in knows no legs", p("proxy/ingress/socks5", "mpproxy/proxy/leg"), "proxy/ingress/socks5 imports proxy/leg"},
		{"proxy/leg and proxy/egress do not know each other", p("proxy/egress", "mpproxy/proxy/leg"), "proxy/egress imports proxy/leg"},
		{"proxy/leg knows neither ways in nor accepting", p("proxy/leg", "mpproxy/proxy/egress"), "proxy/leg imports proxy/egress"},
		{"pathctl does not import proxy", p("pathctl/netpath", "mpproxy/proxy/relay"), "pathctl/netpath imports proxy/relay"},
		{"pathctl imports of mptcpsock only uapi and subdiag", p("pathctl", "mpproxy/mptcpsock", "mpproxy/mptcpsock/uapi"), "pathctl imports mptcpsock"},
		{"mptcpsock does not import the programs' packages", p("mptcpsock", "mpproxy/config"), "mptcpsock imports config"},
		{"mptcpsock imports nothing of pathctl, mptcpsock/control apart", p("mptcpsock", "mpproxy/pathctl/netpath"), "mptcpsock depends on mpproxy/pathctl/netpath"},
		{"mptcpsock imports nothing of pathctl, mptcpsock/control apart", p("mptcpsock/subdiag", "github.com/mdlayher/netlink"), "mptcpsock/subdiag depends on github.com/mdlayher/netlink"},
		{"mptcpsock imports nothing of pathctl, mptcpsock/control apart", p("mptcpsock", "github.com/cilium/ebpf/link"), "mptcpsock depends on github.com/cilium/ebpf/link"},
		{"mptcpsock/uapi is a leaf", p("mptcpsock/uapi", "fmt", "golang.org/x/sys/unix"), "mptcpsock/uapi imports golang.org/x/sys/unix"},
		{"pathctl/estimate knows no kernel", p("pathctl/estimate", "mpproxy/mptcpsock/uapi", "mpproxy/pathctl/netpath"), "pathctl/estimate imports pathctl/netpath"},
		{"the engine imports neither facade nor host state", p("pathctl/engine", "mpproxy/pathctl/policy", "mpproxy/pathctl"), "pathctl/engine imports pathctl"},
		{"pathctl/policy stands on pathstate and reasons alone", p("pathctl/policy", "time", "mpproxy/config"), "pathctl/policy imports mpproxy/config"},
		{"pathctl/policy/mode stands on policy alone", p("pathctl/policy/mode", "time", "mpproxy/pathctl/policy", "mpproxy/pathctl/pathstate"), "pathctl/policy/mode imports mpproxy/pathctl/pathstate"},
		{"netlink belongs to pathctl/mptcppm and pathctl/netpath", p("pathctl", "github.com/mdlayher/netlink/nlenc"), "pathctl imports github.com/mdlayher/netlink/nlenc"},
		{"pathctl/netpath/rtnl knows no paths", p("pathctl/netpath/rtnl", "mpproxy/pathctl/policy"), "pathctl/netpath/rtnl imports pathctl/policy"},
		{"go-socks5 belongs to proxy/socks", p("internal/access", "github.com/things-go/go-socks5/statute"), "internal/access imports github.com/things-go/go-socks5/statute"},
		{"toml belongs to config/tomlfile", p("config", "github.com/BurntSushi/toml"), "config imports github.com/BurntSushi/toml"},
		{"config/tomlfile knows no configuration", p("config/tomlfile", "mpproxy/config/credential"), "config/tomlfile imports config/credential"},
		{"links know no paths and no files", p("config/joinlink", "mpproxy/config/userfile"), "config/joinlink imports config/userfile"},
		{"prometheus belongs to internal/metrics", p("pathctl", "github.com/prometheus/client_golang/prometheus"), "pathctl imports github.com/prometheus/client_golang/prometheus"},
		{"mptcpsock pulls in nothing of the proxy", p("mptcpsock", "github.com/prometheus/client_golang/prometheus"), "mptcpsock depends on github.com/prometheus/client_golang/prometheus"},
		{"mptcpsock pulls in nothing of the proxy", p("examples/chat", "github.com/BurntSushi/toml"), "examples/chat depends on github.com/BurntSushi/toml"},
		{"test harnesses stay out of the programs", p("cmd/mpproxy-client", "mpproxy/test/netns"), "cmd/mpproxy-client depends on mpproxy/test/netns"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			for _, r := range rules {
				if r.name != tt.rule {
					continue
				}
				got := r.check([]pkg{tt.bad})
				if len(got) == 0 || got[0] != tt.want {
					t.Errorf("found %q, want %q", got, tt.want)
				}
				return
			}
			t.Fatal("there is no such rule")
		})
	}
}

func TestOneFileImportsSocks5(t *testing.T) {
	var files []string
	for _, p := range loadPackages(t) {
		for _, f := range p.GoFiles {
			for _, imp := range importsOf(t, filepath.Join(p.Dir, f)) {
				if within(imp, "github.com/things-go/go-socks5") {
					files = append(files, filepath.Join(p.name(), f))
					break
				}
			}
		}
	}
	if want := []string{filepath.Join("proxy", "socks", "wire.go")}; !cmp.Equal(files, want) {
		t.Errorf("go-socks5 is imported by %v, want %v: a single file, so that the library can be replaced", files, want)
	}
}

// importsOf returns the import paths of one file.
func importsOf(t *testing.T, path string) (paths []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range f.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, imp)
	}
	return paths
}

func TestStandard(t *testing.T) {
	for path, want := range map[string]bool{
		"fmt": true, "net/netip": true, modulePath: false, modulePath + "/config": false, "golang.org/x/sys/unix": false,
	} {
		if standard(path) != want {
			t.Errorf("standard(%q) = %v", path, !want)
		}
	}
	if within("proxyother", "proxy") || !within("proxy/relay", "proxy") || strings.Contains(below("mpproxy/x"), modulePath) {
		t.Error("within or below take a name for a prefix of another")
	}
}
