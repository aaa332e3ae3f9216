package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"mpproxy/config"
	"mpproxy/config/credential"
	"mpproxy/config/joinlink"
	"mpproxy/config/tomlfile"
	"mpproxy/internal/access"
	"mpproxy/internal/buildinfo"
	"mpproxy/internal/cli"
	"mpproxy/internal/daemon"
	"mpproxy/internal/report"
	"mpproxy/internal/status"
	"mpproxy/internal/steer"
	"mpproxy/pathctl"
	"mpproxy/pathctl/netpath"
	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
	"mpproxy/proxy/front"
	"mpproxy/proxy/ingress"
	"mpproxy/proxy/ingress/socks5"
	"mpproxy/proxy/leg"
	"mpproxy/proxy/rules"
)

type runCmd struct {
	configFile
	Link  string   `short:"l" placeholder:"LINK" help:"mpproxy:// link of the server, for trying out: other users see it in the process list. Use join to keep one."`
	Socks []string `short:"s" placeholder:"ADDR:PORT" help:"Listen here for applications (repeatable; default 127.0.0.1:1080)."`
	Mode  string   `short:"m" placeholder:"MODE" help:"Mode of connections that ask for none (default aggregate)."`
	Path  []string `short:"p" placeholder:"IFACE[@GATEWAY][:metered]" help:"Use this interface, the best first (repeatable; patterns such as 'wlan*' work; default: every interface with a global address and a default route, tunnels apart)."`
	report.TraceFlags
}

func (c runCmd) Run() error {
	conf, err := c.merged()
	if err != nil {
		return err
	}
	log := cli.Logger(os.Stderr, conf.Log)
	cli.Warn(log, conf.Warnings)
	if c.Link != "" {
		log.Warn("the link was given on the command line, where every user of this host can read it: `mpproxy-client join` keeps it in a file")
	}
	log.Info("starting", "version", buildinfo.Version(), "server", conf.Link.HostPort(), "mode", conf.Mode)

	room, err := cli.OurRoom()
	if err != nil {
		return err
	}
	maxConns := room.MaxConnections(conf.Limits.MaxConnections, 0)
	recorder, err := c.Recorder("mpproxy-client", conf.PathManager, log)
	if err != nil {
		return err
	}
	steering := pathctl.ClientConfig{
		Selectors: selectors(conf.Paths), StateDir: cli.StateDir(),
		UserSpace: conf.PathManager == config.PathManagerUserSpace,
	}
	var tasks []daemon.Task
	if recorder != nil {
		steering.Recorder = recorder
		tasks = append(tasks, recorder) // it ends when the controller has
	}
	controller := pathctl.NewClient(steering, log)
	var f *front.Front
	up := legConfig(conf)
	up.Log = log
	up.FellBack = func(string) { f.Table().Totals.FellBack.Add(1) }
	up.Observer = steer.Observer{Controller: controller, Role: policy.Client, Modes: conf.Modes}
	up.LeaveSubflows = func() bool { return !controller.Kernel().UserSpace }
	up.Credentials = whileSteering(controller, conf.Link, up.Credentials)
	up.Paths = leg.NewRanking(candidates{controller}, func(mode string) bool {
		base := policy.Mode(baseOf(conf.Modes, mode))
		return controller.Kernel().UserSpace && base.Traits().BeginsAnywhere
	}, memory{controller})
	up.IdleLegs, up.Ahead = conf.Limits.IdleLegs, true
	session := leg.New(up)
	f = front.New(front.Config{
		WaysIn: []ingress.WayIn{
			socks5.WayIn{
				Addrs: conf.Socks.Listen,
				Auth: access.Local{
					Users: conf.Socks.Users, Default: conf.Mode, Modes: conf.Modes,
					Names: ruleUsers(conf.Rules), Misspelt: access.LogMisspelt(log),
				},
				NeverAsk: !conf.Socks.Ask,
			},
		},
		Rules:   conf.Rules,
		Session: session, MaxConnections: maxConns, EarlyAnswer: conf.EarlyAnswer,
		HandshakeTimeout: conf.Socks.HandshakeTimeout,
		DrainTimeout:     conf.Limits.DrainTimeout,
		Relay:            cli.RelayConfig(conf.Limits), Log: log,
	})
	tasks = append(tasks, controller) // first to start and last to stop: connections that finish need their paths
	looks, err := report.AdminTasks(report.AdminConfig{
		Program: status.Client, Socket: conf.Admin.SocketPath(os.Getuid(), os.Getenv), HTTP: conf.Admin.HTTP,
		Modes: conf.Modes, Source: newCollector(conf, controller, session, f), Decisions: controller.Decisions, Log: log,
	})
	if err != nil {
		return err
	}
	tasks = append(append(tasks, looks...), f, newChecker(session, conf.Mode))
	return daemon.Run(context.Background(), daemon.Config{Log: log}, tasks...)
}

// merged returns the file's configuration with the flags laid over it.
func (c runCmd) merged() (config.Client, error) {
	conf, err := c.load()
	if err != nil {
		return conf, err
	}
	if c.Link != "" {
		if conf.Link, err = joinlink.Parse(c.Link); err != nil {
			return conf, fmt.Errorf("--link: %w", err)
		}
	}
	if c.Mode != "" {
		mode, err := config.ModeNamed(conf.Modes, c.Mode)
		if err != nil {
			return conf, &tomlfile.Error{Key: "--mode", Message: err.Error()}
		}
		conf.Mode = mode.Name
	}
	if len(c.Socks) > 0 {
		conf.Socks.Listen = nil
	}
	for _, s := range c.Socks {
		addr, err := netip.ParseAddrPort(s)
		if err != nil {
			return conf, &tomlfile.Error{Key: "--socks", Message: fmt.Sprintf("%q: write ADDRESS:PORT, such as 127.0.0.1:1080 or [::1]:1080", s)}
		}
		conf.Socks.Listen = append(conf.Socks.Listen, addr)
	}
	if len(c.Path) > 0 {
		conf.Paths = nil
	}
	for i, s := range c.Path {
		p, err := config.ParsePath(s)
		if err != nil {
			return conf, &tomlfile.Error{Key: "--path", Message: err.Error()}
		}
		p.Rank = i + 1
		conf.Paths = append(conf.Paths, p)
	}
	return conf, conf.Validate()
}

// whileSteering leaves the mode out of the user name while the kernel makes the
// subflows. That is for concentrators older than leg.Config.LeaveSubflows: they close
// none of a client that names no mode.
func whileSteering(c *pathctl.Client, link joinlink.Link, with func(mode string) (user, token string)) func(string) (string, string) {
	return func(mode string) (user, token string) {
		user, token = with(mode)
		if user != "" && !c.Kernel().UserSpace {
			user = link.User
		}
		return user, token
	}
}

// baseOf returns the name under which the concentrator knows a mode: it knows
// the built-in ones.
func baseOf(modes []policy.Spec, name string) string {
	if spec, err := config.ModeNamed(modes, name); err == nil {
		return string(spec.Base)
	}
	return name
}

// ruleUsers returns the user names that rules are about.
func ruleUsers(rules rules.Rules) (names []string) {
	for _, r := range rules {
		names = append(names, r.Users...)
	}
	return names
}

func selectors(paths []config.Path) []netpath.Selector {
	var out []netpath.Selector
	for _, p := range paths {
		out = append(out, netpath.Selector{
			Interface: p.Interface, Gateway: p.Gateway, Table: p.Table,
			Name: p.Name, Rank: p.Rank, Metered: p.Metered, MinSignal: p.MinSignal,
		})
	}
	return out
}

// legConfig returns how to reach the link's server, without paths.
func legConfig(conf config.Client) leg.Config {
	link := conf.Link
	up := leg.Config{
		Host: link.Host, Port: link.Port,
		RequireMPTCP:  conf.RequireMPTCP,
		AnswerTimeout: conf.Limits.ConnectTimeout,
		ReceiveBuffer: cli.ReceiveBuffer(conf.Limits.ReceiveBuffer),
		Credentials: func(mode string) (string, string) {
			if link.User == "" {
				return "", ""
			}
			return credential.JoinUserMode(link.User, baseOf(conf.Modes, mode)), link.Token.Reveal()
		},
	}
	if link.Security == joinlink.SecurityTLS {
		up.TLS = leg.ClientTLS(link.Host, link.Pin)
	}
	return up
}

// candidates shows the controller's paths to the data path, the best-ranked
// first. Each socket is bound to its path's interface, as joined subflows and probes
// are: a rule of another program, or a second interface with the same address, must
// not send it elsewhere.
type candidates struct{ controller *pathctl.Client }

func (c candidates) Candidates() []leg.Candidate {
	var out []leg.Candidate
	now := time.Now()
	for _, p := range c.controller.Paths() { // sorted by rank
		if p.State != netpath.Up {
			continue
		}
		s := c.controller.PathState(p.Name)
		for _, cand := range candidatesOn(p) {
			cand.Troubled, cand.RTT = s.Avoid(now), s.RTT.Lately(now)
			out = append(out, cand)
		}
	}
	return out
}

// memory keeps what legs have met with what else is believed about the paths.
type memory struct{ controller *pathctl.Client }

func (m memory) LeftAlone(path string, to netip.Addr) bool {
	return m.controller.LegLeftAlone(path, to)
}

func (m memory) Report(path string, to netip.Addr, r leg.Result) {
	m.controller.LegMet(path, to, pathstate.Result(r), r.Explain())
}

// candidatesOn returns a path's addresses as places to begin, as far as the path
// itself tells.
func candidatesOn(p netpath.Path) (out []leg.Candidate) {
	for _, a := range p.Addrs {
		out = append(out, leg.Candidate{
			Path: p.Name, Source: a.Addr, Interface: p.Interface, Metered: p.Metered, Ranked: p.Ranked || p.Weak,
		})
	}
	return out
}
