package examples

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"mpproxy/pathctl/mptcppm"
	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
)

const port = "7000"

// lab is a client with two ways to a server, on which chat listens.
type lab struct {
	*netns.Topology
	server *netns.Process
	say    io.Writer // the server's standard input
}

func newLab(t *testing.T, links ...netns.LinkConfig) *lab {
	t.Helper()
	netns.Require(t)
	if _, err := os.Stat("/proc/sys/net/mptcp"); err != nil {
		t.Skip("the kernel has no MPTCP: ", err)
	}
	topo, err := netns.New(t.Context(), netns.Config{Links: links, Logf: t.Logf})
	must(t, err)
	t.Cleanup(func() { must(t, topo.Close()) })
	l := &lab{Topology: topo}
	l.server, l.say = l.start(t, topo.Concentrator, "chat", "-listen", "[::]:"+port)
	l.sees(t, l.server, "* listening")
	return l
}

// start starts a program whose standard input stays open until the test's end.
func (l *lab) start(t *testing.T, on *netns.Host, name string, args ...string) (*netns.Process, io.Writer) {
	t.Helper()
	r, w := io.Pipe()
	p, err := on.Start(testContext(t), netns.Spec{Path: program(name), Args: args, Name: name, Stdin: r})
	must(t, err)
	t.Cleanup(func() {
		must(t, w.Close())
		must(t, p.Kill())
	})
	return p, w
}

func (l *lab) sees(t *testing.T, p *netns.Process, text string) string {
	t.Helper()
	line, err := p.WaitOutput(testContext(t), text)
	if err != nil {
		t.Fatalf("%s has not printed %q: %v\n%s", p.Name(), text, err, p.Output())
	}
	return line
}

func (l *lab) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := l.Client.Command(testContext(t), program(name), args...).Output()
	must(t, err)
	return string(out)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func twoLinks() []netns.LinkConfig {
	return []netns.LinkConfig{{Name: "wifi0"}, {Name: "lte0"}}
}

// useSecondLink makes the client's kernel open a subflow over the second link, as
// `ip mptcp endpoint add` and `ip rule` do.
func (l *lab) useSecondLink(t *testing.T) {
	t.Helper()
	second := l.Links[1]
	must(t, l.Client.Do(testContext(t), func() error {
		iface, err := netlink.LinkByName(second.Name)
		if err != nil {
			return err
		}
		const table = 1000
		rule := netlink.NewRule()
		rule.Family, rule.Table = netlink.FAMILY_V6, table
		rule.Src = &net.IPNet{IP: second.Client6.AsSlice(), Mask: net.CIDRMask(128, 128)}
		pm, err := mptcppm.Dial(nil)
		if err != nil {
			return err
		}
		return errors.Join(
			netlink.RouteAdd(&netlink.Route{LinkIndex: iface.Attrs().Index, Gw: second.Gateway6.AsSlice(), Table: table}),
			netlink.RuleAdd(rule),
			pm.AddEndpoint(testContext(t), mptcppm.Endpoint{Addr: second.Client6, Flags: mptcppm.FlagSubflow, IfIndex: iface.Attrs().Index}),
			pm.Close(),
		)
	}))
}

const address = netns.ConcentratorName + ":" + port

// TestSlides: the slides' programs print what the slides print.
func TestSlides(t *testing.T) {
	ends := func(src, dst string) string {
		return `\tip src : ` + regexp.QuoteMeta(src) + ` src port : \d+\n\tip dst : ` + regexp.QuoteMeta(dst) + ` dst port : ` + port + `\n`
	}
	for _, tt := range []struct {
		name string
		args func(t *testing.T, l *lab) []string
		want func(l *lab) string
	}{
		{
			"subflows", func(*testing.T, *lab) []string { return []string{address} },
			func(*lab) string { return `Subflow id : 1\n` },
		},
		{
			"subflows", func(t *testing.T, l *lab) []string {
				l.useSecondLink(t)
				return []string{"-wait", "2", address}
			},
			func(*lab) string { return `Subflow id : 1\nSubflow id : 2\n` },
		},
		{
			"whichway", func(*testing.T, *lab) []string { return []string{address} },
			func(l *lab) string {
				return `Subflow id : 1\n` + ends(l.Links[0].Client6.String(), l.Concentrator6.String()) + `Subflow 1 carried 100 % of \d+ bytes received\n`
			},
		},
		{
			"opensub", func(_ *testing.T, l *lab) []string { return []string{address, l.Links[1].Client6.String()} },
			func(l *lab) string {
				return `Subflow id : 2\n` + ends(l.Links[1].Client6.String(), l.Concentrator6.String())
			},
		},
		{
			"opensub", func(_ *testing.T, l *lab) []string {
				return []string{address, l.Links[1].Client4.String() + ":4321", l.Concentrator4.String() + ":" + port}
			},
			func(l *lab) string {
				return `Subflow id : 2\n` + strings.Replace(ends(l.Links[1].Client4.String(), l.Concentrator4.String()), `\d+`, "4321", 1)
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, twoLinks()...)
			got := l.run(t, tt.name, tt.args(t, l)...)
			if want := "^" + tt.want(l) + "$"; !regexp.MustCompile(want).MatchString(got) {
				t.Errorf("%s printed\n%swant\n%s", tt.name, got, want)
			}
		})
	}
}

// TestChatSurvivesHandover: the line goes on over the other link when the one
// in use is unplugged, in both directions, without a word lost.
func TestChatSurvivesHandover(t *testing.T) {
	for _, service := range []string{"handover", "interactive", "aggregate"} {
		t.Run(service, func(t *testing.T) {
			l := newLab(t, twoLinks()...)
			client, say := l.start(t, l.Client, "chat", "-service", service, address)
			talk := func(word string) {
				_, err := io.WriteString(say, word+" from the client\n")
				must(t, err)
				l.sees(t, l.server, "< "+word+" from the client")
				_, err = io.WriteString(l.say, word+" from the server\n")
				must(t, err)
				l.sees(t, client, "< "+word+" from the server")
			}
			l.sees(t, client, "multipath true")
			talk("first")
			must(t, l.Links[0].Disconnect(testContext(t)))
			talk("second")
			l.sees(t, client, " established: ")
			must(t, l.Links[0].Connect(testContext(t)))
			talk("third")
		})
	}
}

// TestChatSurvivesSilence: nobody says that the link in use is dead, and the one
// who notices is the one who speaks.
func TestChatSurvivesSilence(t *testing.T) {
	for _, first := range []string{"client", "server"} {
		t.Run(first+" speaks", func(t *testing.T) {
			p := link.Params{Rate: 20 * link.Mbit, Delay: 5 * time.Millisecond}
			l := newLab(t, netns.LinkConfig{Name: "wifi0", Params: p}, netns.LinkConfig{Name: "lte0", Params: p})
			client, say := l.start(t, l.Client, "chat", address)
			l.sees(t, client, "< hello")
			l.sees(t, client, " established: ")
			l.sees(t, l.server, " established: ")
			must(t, l.Links[0].SetBlackhole(true))
			from, to := say, l.server
			if first == "server" {
				from, to = l.say, client
			}
			_, err := io.WriteString(from, "still there?\n")
			must(t, err)
			l.sees(t, to, "< still there?")
			l.sees(t, l.server, "subflow 1 closed")
		})
	}
}

// TestUsage: a wrong command line says what is right.
func TestUsage(t *testing.T) {
	netns.Require(t)
	h, err := netns.NewHost(testContext(t), netns.HostConfig{Name: "host"})
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	for _, name := range []string{"subflows", "whichway", "opensub", "chat"} {
		out, err := h.Command(testContext(t), program(name)).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "usage:") {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
}
