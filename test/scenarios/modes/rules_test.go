package modes

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"mpproxy/internal/status"
	"mpproxy/test/netns"
	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

const (
	bulkName   = "bulk.example"
	voipName   = "voip.example"
	otherSocks = "127.0.0.1:1081"
	otherPort  = 8081
	ruleSize   = 6_000_000
)

// ruleText is what a user writes. The links are dsl0, the better one, and lte0.
var ruleText = fmt.Sprintf(`
[modes.calls]
base = "interactive"
rtt_hold = "200ms"

[[rule]]
name = "bulk"
hosts = [%q]
paths = ["lte0"]

[[rule]]
name = "voip"
hosts = [%q]
mode = "calls"
enforce = true

[[rule]]
ports = ["8080-8089"]
paths = ["lte0", "dsl0"]
mode = "handover"

[[rule]]
name = "torrent"
users = ["torrent"]
paths = ["dsl0"]

[[rule]]
name = "guests"
listeners = [%q]
mode = "single"

[[rule]]
name = "by-address"
cidrs = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"]
mode = "lazy"
`, bulkName, voipName, otherSocks)

func ruled(pathManager string) rig.Config {
	// A leg that waits for another flow of a case's kind is on that flow's paths, while the
	// next case looks at what its own flow does.
	listen := scene.With(fmt.Sprintf("socks.listen = [%q, %q]", rig.Socks, otherSocks), "limits.idle_legs = 0")
	return scene.ManagedBy(pathManager, rig.Config{
		Links:      scene.Families(rig.DSLAndLTE(), []bool{true, true}, []bool{false, false}),
		EditClient: func(toml string) string { return listen(toml) + ruleText },
	})
}

// startRuled returns a system with the rules, and further servers and names.
func startRuled(t *testing.T, pathManager string) *rig.Rig {
	t.Helper()
	cfg := ruled(pathManager)
	var web *apps.HTTPServer
	t.Cleanup(func() {
		if web != nil {
			_ = web.Close()
		}
	})
	cfg.Prepare = func(ctx context.Context, topo *netns.Topology) (err error) {
		web, err = apps.ServeHTTP(ctx, topo.Destination, otherPort)
		return err
	}
	dest := netip.MustParseAddr("203.0.113.129")
	cfg.Names = []netns.NameEntry{{Addr: dest, Name: bulkName}, {Addr: dest, Name: voipName}}
	r := scene.Start(t, cfg)
	if r.Destination4 != dest {
		t.Fatalf("the destination is %v", r.Destination4)
	}
	// The check of the link at the start is over: what the links carry from
	// here on belongs to the test.
	scene.Eventually(t, "the server", func() string {
		if s := scene.StatusOf(t, r).Server; s.State != "ok" {
			return s.State
		}
		return ""
	})
	return r
}

// ruleCase is one download and what must become of it.
type ruleCase struct {
	name  string
	proxy string // user and listener
	url   string
	size  int64
	rule  string
	mode  string
	// on are the links that carry it; idle those that see nothing of it.
	on, idle []string
	// standby is a link with a subflow that is flagged backup.
	standby string
}

func TestRulesChoose(t *testing.T) {
	t.Parallel()
	r := startRuled(t, "userspace")
	scene.Steers(t, scene.StatusOf(t, r))
	dest := netns.DestinationName
	byPort := "http://" + net.JoinHostPort(dest, strconv.Itoa(otherPort))
	byAddress := "http://" + r.Destination4.String()
	for _, tt := range []ruleCase{
		{name: "no rule", proxy: rig.Socks, url: "http://" + dest, size: ruleSize, mode: "aggregate", on: []string{"dsl0", "lte0"}},
		{name: "host, one path only", proxy: rig.Socks, url: "http://" + bulkName, size: ruleSize, rule: "bulk", mode: "aggregate", on: []string{"lte0"}, idle: []string{"dsl0"}},
		{name: "host, one path only, whatever mode is asked for", proxy: "lazy@" + rig.Socks, url: "http://" + bulkName, size: ruleSize, rule: "bulk", mode: "lazy", on: []string{"lte0"}, idle: []string{"dsl0"}},
		{name: "own mode, enforced", proxy: "single@" + rig.Socks, url: "http://" + voipName, size: ruleSize, rule: "voip", mode: "calls", on: []string{"dsl0"}, standby: "lte0"},
		{name: "port range, order of paths", proxy: rig.Socks, url: byPort, size: ruleSize, rule: "rule 3", mode: "handover", on: []string{"lte0"}, standby: "dsl0"},
		{name: "the application's mode wins", proxy: "single@" + rig.Socks, url: byPort, size: ruleSize, rule: "rule 3", mode: "single", on: []string{"lte0"}, idle: []string{"dsl0"}},
		{name: "user name", proxy: "torrent@" + rig.Socks, url: "http://" + dest, size: ruleSize, rule: "torrent", mode: "aggregate", on: []string{"dsl0"}, idle: []string{"lte0"}},
		{name: "listener", proxy: otherSocks, url: "http://" + dest, size: ruleSize, rule: "guests", mode: "single", on: []string{"dsl0"}, idle: []string{"lte0"}},
		{name: "address, lazy and short", proxy: rig.Socks, url: byAddress, size: 200_000, rule: "by-address", mode: "lazy", on: []string{"dsl0"}, idle: []string{"lte0"}},
		{name: "address, lazy and long", proxy: rig.Socks, url: byAddress, size: 20_000_000, rule: "by-address", mode: "lazy", on: []string{"dsl0", "lte0"}},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, r) })
	}
	out, err := r.Client.Command(t.Context(), r.ClientBinary(), "events", "--config", r.ClientConfig()).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"(" + voipName + ":80, calls, voip)",
		fmt.Sprintf("(%s:%d, handover, rule 3)", dest, otherPort),
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the events do not name %s:\n%s", want, out)
		}
	}
	// What travels is the base.
	if log := r.Server.Output(); strings.Contains(log, "mode=calls") || !strings.Contains(log, "mode=interactive") {
		t.Error("the concentrator was not asked for the base of the mode")
	}
}

// run downloads, looks at the status half-way, and counts what the links saw.
func (tt ruleCase) run(t *testing.T, r *rig.Rig) {
	before := offered(r)
	s := scene.NewSink(scene.NewGate(t, tt.size/2))
	get := scene.Curl(t, r, s.Gate, nil, s, "--proxy", "socks5h://"+tt.proxy, fmt.Sprintf("%s/bytes/%d", tt.url, tt.size))
	s.Gate.Wait(t)
	var c status.Connection
	scene.Eventually(t, "the status half-way", func() string {
		conns := scene.StatusOf(t, r).Connections
		if len(conns) != 1 {
			return fmt.Sprintf("connections: %+v", conns)
		}
		c = conns[0]
		return tt.wrong(c)
	})
	if text, err := r.StatusText(t.Context()); err != nil || tt.rule != "" && !strings.Contains(text, fmt.Sprintf("mode %s (%s)", tt.mode, tt.rule)) {
		t.Errorf("the status does not name the rule: %v\n%s", err, text)
	}
	if err := get.End(t); err != nil {
		t.Fatal(err)
	}
	s.Check(t, tt.size)
	scene.Eventually(t, "the end of the connection", func() string {
		if n := len(scene.StatusOf(t, r).Connections); n > 0 {
			return fmt.Sprintf("%d are left", n)
		}
		return ""
	})
	const neighbours = 300 // ARP; a SYN with MP_JOIN, repeated, would be more
	for link, n := range offered(r) {
		for _, idle := range tt.idle {
			if link == idle && n-before[link] > neighbours {
				t.Errorf("%d bytes went over %s", n-before[link], link)
			}
		}
	}
}

// wrong says what of a connection is not yet, or not, as the case wants it.
func (tt ruleCase) wrong(c status.Connection) string {
	if c.Mode != tt.mode || c.Rule != tt.rule {
		return fmt.Sprintf("mode %s by %q, want %s by %q", c.Mode, c.Rule, tt.mode, tt.rule)
	}
	var want []string
	for _, l := range tt.on {
		want = append(want, l+" used")
	}
	if tt.standby != "" {
		want = append(want, tt.standby+" backup")
	}
	got := map[string]bool{}
	for _, f := range c.Subflows {
		use := "used"
		if f.Backup {
			use = "backup"
		}
		got[f.Path+" "+use] = true
	}
	for _, w := range want {
		if !got[w] {
			return fmt.Sprintf("want %v, got %v", want, got)
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("want only %v, got %v", want, got)
	}
	return ""
}

// offered counts the bytes that each link was given, both ways.
func offered(r *rig.Rig) map[string]uint64 {
	n := map[string]uint64{}
	for _, l := range r.Links {
		n[l.Name] = l.Counters(netns.Upstream).OfferedBytes + l.Counters(netns.Downstream).OfferedBytes
	}
	return n
}

// TestRuleWithoutPath: an application that may use one path only gets no other
// one when that is down, is told so, and gets it again when it is back.
func TestRuleWithoutPath(t *testing.T) {
	t.Parallel()
	for _, manager := range []string{"userspace", "kernel"} {
		t.Run(manager, func(t *testing.T) {
			t.Parallel()
			r := startRuled(t, manager)
			if err := r.Links[1].SetCarrier(false); err != nil {
				t.Fatal(err)
			}
			scene.PathIs(t, r, "lte0", false)
			before := offered(r)
			c, reply := scene.Ask(t, r, scene.Credentials{}, scene.CmdConnect, bulkName, 80)
			c.Close()
			if reply != scene.RepNetUnreachable {
				t.Errorf("reply %d, want %d", reply, scene.RepNetUnreachable)
			}
			const neighbours = 300
			if n := offered(r)["dsl0"] - before["dsl0"]; n > neighbours {
				t.Errorf("%d bytes went over the other path", n)
			}
			scene.Saw(t, r.ClientDaemon, "none of the paths that are allowed is up: bulk allows lte0")
			st := scene.StatusOf(t, r)
			if st.Server.State != "ok" {
				t.Errorf("the server is said to be %s: %s", st.Server.State, st.Server.Error)
			}
			if m := missingOf(st, "a path for bulk"); !strings.Contains(m.Effect, "lte0") {
				t.Errorf("missing: %+v", st.Missing)
			}
			scene.Works(t, r) // everything else goes on
			if err := r.Links[1].SetCarrier(true); err != nil {
				t.Fatal(err)
			}
			scene.PathIs(t, r, "lte0", true)
			scene.Through(t, r, bulkName, 80).Close()
		})
	}
}

func missingOf(st status.Status, what string) status.Missing {
	for _, m := range st.Missing {
		if m.What == what {
			return m
		}
	}
	return status.Missing{}
}

// TestRulesUnderTheKernel: where the kernel makes the subflows, a rule still
// says on which path a connection starts, and the program says what it cannot.
func TestRulesUnderTheKernel(t *testing.T) {
	t.Parallel()
	r := startRuled(t, "kernel")
	scene.Saw(t, r.ClientDaemon, "a rule decides only on which of its paths a connection starts")
	if m := missingOf(scene.StatusOf(t, r), "rules and modes"); m.Effect == "" {
		t.Errorf("missing: %+v", scene.StatusOf(t, r).Missing)
	}
	scene.Through(t, r, bulkName, 80)
	st := scene.StatusOf(t, r)
	if len(st.Connections) != 1 {
		t.Fatalf("connections: %+v", st.Connections)
	}
	c := st.Connections[0]
	if c.Rule != "bulk" || len(c.Subflows) == 0 || c.Subflows[0].Path != "lte0" {
		t.Errorf("want a first subflow on lte0 by bulk: %+v", c)
	}
}
