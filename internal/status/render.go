package status

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// RenderOptions choose how much Render prints.
type RenderOptions struct {
	// MaxConnections bounds how many connections are listed, newest last; 0
	// means all.
	MaxConnections int
}

// Render prints s for people.
func Render(w io.Writer, s Status, opt RenderOptions) error {
	p := &printer{w: w}
	p.head(s)
	p.paths(s)
	p.missing(s)
	p.notices(s)
	p.connections(s, opt.MaxConnections)
	return p.err
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) head(s Status) {
	p.printf("mpproxy-client %s, up %s\n", s.Version, age(s.Taken.Sub(s.Started)))
	p.printf("SOCKS5   %s, mode %s\n", strings.Join(s.Socks, ", "), s.Mode)
	srv := s.Server.Address
	if s.Server.Name != "" {
		srv += " (" + s.Server.Name + ")"
	}
	security := "TLS 1.3, pinned key"
	if s.Server.Security == "none" {
		security = "not encrypted"
	}
	p.printf("Server   %s, %s: %s", srv, security, s.Server.State)
	if !s.Server.Since.IsZero() {
		p.printf(" for %s", age(s.Taken.Sub(s.Server.Since)))
	}
	p.printf("\n")
	if s.Server.Error != "" {
		p.printf("         %s\n         → %s\n", s.Server.Error, s.Server.Advice)
	}
	if s.Server.PlainTCP != "" {
		p.printf("         plain TCP on %s\n", s.Server.PlainTCP)
	}
	state := "ready"
	if !s.PathManager.Active {
		state = "not available"
	}
	routing := "on"
	if !s.PathManager.SourceRouting {
		routing = "off"
	}
	if s.PathManager.Backend == "userspace" {
		p.printf("Subflows by mpproxy itself, timeouts noticed by %s; source routing %s\n", s.PathManager.Timeouts, routing)
		return
	}
	p.printf("Subflows by the kernel's path manager: %s, %d endpoints; source routing %s\n",
		state, s.PathManager.Endpoints, routing)
}

func (p *printer) paths(s Status) {
	p.printf("\nPaths\n")
	if len(s.Paths) == 0 {
		p.printf("  none: no interface has both a global address and a default route\n")
		return
	}
	t := tabwriter.NewWriter(p.w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(t, "  NAME\tINTERFACE\tRANK\tSTATE\tDOWN\tUP\tRECEIVED\tSENT\tADDRESSES\n")
	for _, path := range s.Paths {
		state := path.State
		if path.Reason != "" {
			state += " (" + path.Reason + ")"
		}
		if path.Metered {
			state += ", metered"
		}
		addresses := "-"
		if len(path.Addresses) > 0 {
			addresses = strings.Join(path.Addresses, " ")
		}
		fmt.Fprintf(t, "  %s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", path.Name, path.Interface, path.Rank, state,
			Rate(path.ReceiveRate), Rate(path.SendRate), Bytes(path.ReceivedBytes), Bytes(path.SentBytes),
			addresses)
	}
	if err := t.Flush(); p.err == nil {
		p.err = err
	}
	for _, path := range s.Paths {
		if path.Warning != "" {
			p.printf("  %s: %s\n", path.Name, path.Warning)
		}
	}
}

func (p *printer) missing(s Status) {
	if len(s.Missing) == 0 {
		return
	}
	p.printf("\nMissing on this host\n")
	for _, m := range s.Missing {
		p.printf("  %s: %s\n    → %s\n", m.What, m.Effect, m.Advice)
	}
}

func (p *printer) notices(s Status) {
	if len(s.Notices) == 0 {
		return
	}
	p.printf("\nOthers on this host\n")
	for _, n := range s.Notices {
		p.printf("  %s: %s\n    → %s\n", n.What, n.Effect, n.Advice)
	}
}

func (p *printer) connections(s Status, most int) {
	p.printf("\nConnections: %d live, %d since the start", s.Totals.Live, s.Totals.Connections)
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{s.Totals.Failed, "failed"},
		{s.Totals.Refused, "refused at a limit"},
		{s.Totals.FellBack, "fell back to plain TCP"},
		{s.Totals.AuthFailures, "with a wrong user"},
	} {
		if c.n > 0 {
			p.printf(", %d %s", c.n, c.what)
		}
	}
	p.printf("\n")
	conns := s.Connections
	if most > 0 && len(conns) > most {
		p.printf("  (the newest %d; --all lists every one)\n", most)
		conns = conns[len(conns)-most:]
	}
	for _, c := range conns {
		p.connection(s, c)
	}
}

func (p *printer) connection(s Status, c Connection) {
	proto := "MPTCP"
	if c.Protocol != "mptcp" {
		proto = "plain TCP (" + c.FellBack + ")"
	}
	p.printf("  #%d %s  mode %s%s, %s, open %s, sent %s, received %s\n", c.ID, c.Destination, c.Mode, rule(c), proto,
		age(s.Taken.Sub(c.Opened)), Bytes(c.SentBytes), Bytes(c.ReceivedBytes))
	if c.Decision != "" {
		p.printf("      last decision: %s\n", c.Decision)
	}
	for _, f := range c.Subflows {
		p.printf("      %-8s %s → %s  RTT %.1f ms, sent %s, received %s, retransmitted %s%s\n", f.Path, f.Local, f.Remote,
			f.RTTMillis, Bytes(f.SentBytes), Bytes(f.ReceivedBytes), Bytes(f.Retransmitted), backup(f))
	}
}

func rule(c Connection) string {
	if c.Rule != "" {
		return " (" + c.Rule + ")"
	}
	return ""
}

func backup(f Subflow) string {
	if f.Backup {
		return ", backup"
	}
	return ""
}

// Bytes prints a number of bytes with a decimal unit.
func Bytes(n uint64) string { return scaled(float64(n), "B") }

// Rate prints bits per second with a decimal unit.
func Rate(bitsPerSecond uint64) string { return scaled(float64(bitsPerSecond), "bit/s") }

func scaled(v float64, unit string) string {
	if v < 1000 {
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	v /= 1000
	for _, prefix := range []string{"k", "M", "G"} {
		if v < 999.95 { // what is more would be printed as 1000.0
			return fmt.Sprintf("%.1f %s%s", v, prefix, unit)
		}
		v /= 1000
	}
	return fmt.Sprintf("%.1f T%s", v, unit)
}

func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}
