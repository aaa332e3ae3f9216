package coexist

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mpproxy/pathctl/mptcppm"
	"mpproxy/pathctl/netpath"
)

// Kind is what a notice is about, in a word.
type Kind string

// The kinds of notices.
const (
	KindEndpoints   Kind = "endpoints"    // of another program
	KindDecider     Kind = "decider"      // another program may decide about subflows
	KindPathManager Kind = "path-manager" // somebody has switched it since
	KindRPFilter    Kind = "rp-filter"    // strict on an interface that is a path
	KindRule        Kind = "rule"         // of another program, before ours, and past its tunnel
	KindBarrier     Kind = "barrier"      // such a rule that stops everything
)

// Notice is one thing that a user should know, and what to do about it. Two are
// about the same thing when they are equal.
type Notice struct {
	Kind                 Kind
	What, Effect, Advice string
}

// String is meant for logs.
func (n Notice) String() string { return n.What + ": " + n.Effect }

// Facts are what a scan has found, and what mpproxy itself is doing.
type Facts struct {
	// Steering: mpproxy is the path manager of this network namespace.
	Steering bool
	// Userspace: the path manager is in user space now; Before: and no mpproxy
	// has made it so.
	Userspace, Before bool
	// Switched is how often somebody has given the path manager back to the kernel lately,
	// and Due when mpproxy takes it again; zero where it has.
	Switched  int
	Due       time.Time
	Endpoints []mptcppm.Endpoint // of others, without those that the kernel made by itself
	Listeners []Process          // others that listen to MPTCP's events
	Programs  []Process          // that are known to register endpoints
	Strict    []string           // interfaces of paths with rp_filter=1, where source routing keeps it harmless
	Rules     []netpath.Obstacle // routing rules of others that come before ours
}

// Process is a program that runs.
type Process struct {
	PID  int    // 0: not known
	Name string // as in /proc/PID/comm; empty: not known
}

// String is "mptcpd (process 712)".
func (p Process) String() string {
	switch {
	case p.Name == "" && p.PID == 0:
		return "a program that cannot be named"
	case p.Name == "":
		return fmt.Sprintf("process %d", p.PID)
	}
	return fmt.Sprintf("%s (process %d)", p.Name, p.PID)
}

// The programs that are known to register endpoints.
const (
	networkManager = "NetworkManager"
	mptcpd         = "mptcpd"
)

// Notices says what there is to know, the gravest first.
func Notices(f Facts) []Notice {
	var ns []Notice
	if n, ok := f.switched(); ok {
		ns = append(ns, n)
	}
	if n, ok := f.decider(); ok {
		ns = append(ns, n)
	}
	if n, ok := f.endpoints(); ok {
		ns = append(ns, n)
	}
	for _, o := range f.Rules {
		ns = append(ns, rule(o))
	}
	for _, iface := range f.Strict {
		ns = append(ns, Notice{
			Kind:   KindRPFilter,
			What:   "rp_filter=1 (strict) on " + iface,
			Effect: "no harm while mpproxy does source routing; without it answers on this path would be dropped",
			Advice: "nothing has to be done; if source routing is switched off: sysctl -w net.ipv4.conf." + iface + ".rp_filter=2",
		})
	}
	return ns
}

// rule says what a routing rule of another program does to the paths.
func rule(o netpath.Obstacle) Notice {
	what := fmt.Sprintf("a routing rule comes before mpproxy's own and catches what leaves from %s: %s", o.Paths, o.Rule)
	if o.Owner != "" {
		what += ", probably of " + o.Owner
	}
	if o.Kind == netpath.Stops {
		return Notice{
			Kind: KindBarrier, What: what,
			Effect: "nothing leaves there: the rule leads to " + o.Into,
			Advice: "stop that program or its kill switch, or have it except mpproxy's traffic; else mpproxy cannot use these paths",
		}
	}
	return Notice{
		Kind: KindRule, What: what,
		Effect: "what no program has bound to an interface leaves over " + o.Into + "; mpproxy binds its sockets to their paths, and passes it by",
		Advice: "nothing has to be done; applications that do not use mpproxy go by that rule",
	}
}

// switched: somebody has given the path manager back to the kernel.
func (f Facts) switched() (Notice, bool) {
	n := Notice{
		Kind:   KindPathManager,
		What:   "another program has given the path manager back to the kernel",
		Effect: "mpproxy has taken it again, and decides about connections that begin now; those that began in between are the kernel's",
		Advice: "see who sets net.mptcp.path_manager (net.mptcp.pm_type), or configure path_manager = \"kernel\"",
	}
	if !f.Userspace {
		n.Effect = "mpproxy does not decide about the subflows of connections that begin now: the kernel does, by the configured endpoints"
	}
	if !f.Due.IsZero() {
		n.Effect += "; mpproxy takes it again at " + f.Due.Format(time.TimeOnly)
	}
	return n, f.Steering && (!f.Userspace || f.Switched > 0)
}

// OtherDecides reports whether another program seems to be the path manager in
// user space: it was one before mpproxy came, and somebody listens.
func (f Facts) OtherDecides() bool {
	return f.Userspace && f.Before && slices.ContainsFunc(f.Listeners, Process.mayDecide)
}

// isOurs reports whether a program is called as ours are.
func (p Process) isOurs() bool { return strings.HasPrefix(p.Name, "mpproxy-") }

// mayDecide is false for programs that only watch.
func (p Process) mayDecide() bool { return p.Name != "ip" && p.Name != "tcpdump" }

func (f Facts) decider() (Notice, bool) {
	n := Notice{Kind: KindDecider}
	switch {
	case f.OtherDecides() && f.Steering:
		n.What = "the path manager was in user space already, and " + list(f.Listeners) + " listens to MPTCP's events"
		n.Effect = "mpproxy decides about its own connections only, leaves those of other programs to that one, and both may open subflows of the same connection"
		n.Advice = advice(f.Listeners, "stop it, or leave the subflows to it: path_manager = \"kernel\" in mpproxy's configuration")
	case f.OtherDecides():
		n.What = "the path manager is in user space, and " + list(f.Listeners) + " listens to MPTCP's events"
		n.Effect = "that program decides which subflows mpproxy's connections get; mpproxy's own endpoints have no effect"
		n.Advice = advice(f.Listeners, "stop it, and set net.mptcp.path_manager=kernel (net.mptcp.pm_type=0 before Linux 6.15); or let mpproxy decide: path_manager = \"userspace\"")
	case f.Userspace && f.Before && f.Steering:
		n.What = "the path manager was in user space already, and nobody listened to MPTCP's events"
		n.Effect = "mpproxy has taken it, and leaves it in user space when it stops: other programs' connections get no second subflow then"
		n.Advice = "if no other program needs it so: sysctl -w net.mptcp.path_manager=kernel (net.mptcp.pm_type=0 before Linux 6.15)"
	case f.Userspace && f.Before:
		n.What = "the path manager is in user space, and nobody is known to be it"
		n.Effect = "connections get no second subflow: the endpoints that mpproxy registers have no effect"
		n.Advice = "sysctl -w net.mptcp.path_manager=kernel (net.mptcp.pm_type=0 before Linux 6.15); or let mpproxy decide: path_manager = \"userspace\""
	default:
		return Notice{}, false
	}
	return n, true
}

func (f Facts) endpoints() (Notice, bool) {
	if len(f.Endpoints) == 0 {
		return Notice{}, false
	}
	n := Notice{Kind: KindEndpoints, What: "MPTCP endpoints of another program"}
	if len(f.Programs) > 0 {
		n.What = "MPTCP endpoints of another program, probably of " + list(f.Programs)
	}
	n.What += ": " + join(f.Endpoints)
	if f.Steering {
		n.Effect = "mpproxy leaves them alone; its own connections do not use them, those of other programs do"
	} else {
		n.Effect = "mpproxy leaves them alone; the kernel opens subflows from them for every connection, mpproxy's as well, whatever path and cost mpproxy knows of"
	}
	n.Advice = advice(f.Programs, "if they are not wanted: ip mptcp endpoint delete id ID")
	return n, true
}

// advice says how to keep the known programs out of it, else otherwise.
func advice(ps []Process, otherwise string) string {
	var known []string
	if slices.ContainsFunc(ps, func(p Process) bool { return p.Name == networkManager }) {
		known = append(known, "if they are not wanted: nmcli connection modify NAME connection.mptcp-flags disabled, for each connection")
	}
	if slices.ContainsFunc(ps, func(p Process) bool { return p.Name == mptcpd }) {
		known = append(known, "if it is not wanted: systemctl disable --now mptcp.service")
	}
	if len(known) == 0 {
		return otherwise
	}
	return strings.Join(known, "; ")
}

func list(ps []Process) string {
	var names []string
	for _, p := range ps {
		if s := p.String(); !slices.Contains(names, s) {
			names = append(names, s)
		}
	}
	return strings.Join(names, " and ")
}

func join[T fmt.Stringer](vs []T) string {
	texts := make([]string, len(vs))
	for i, v := range vs {
		texts[i] = v.String()
	}
	return strings.Join(texts, ", ")
}
