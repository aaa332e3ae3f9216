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
	p.changed(s)
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
	p.printf("%s %s, up %s\n", s.Program, s.Version, age(s.Taken.Sub(s.Started)))
	if s.Program == Concentrator {
		p.printf("Clients  %s, %s, mode %s\n", strings.Join(s.Listen, ", "), security(s.Security), s.Mode)
	} else {
		p.printf("SOCKS5   %s, mode %s\n", strings.Join(s.Socks, ", "), s.Mode)
		p.server(s)
	}
	p.pathManager(s)
}

func security(s string) string {
	if s == "none" {
		return "not encrypted"
	}
	return "TLS 1.3, pinned key"
}

func (p *printer) server(s Status) {
	srv := s.Server.Address
	if s.Server.Name != "" {
		srv += " (" + s.Server.Name + ")"
	}
	p.printf("Server   %s, %s: %s", srv, security(s.Server.Security), s.Server.State)
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
}

// pathManager says who makes subflows. Source routing is a client's.
func (p *printer) pathManager(s Status) {
	state := "ready"
	if !s.PathManager.Active {
		state = "not available"
	}
	routing := "; source routing on"
	switch {
	case s.Program == Concentrator:
		routing = ""
	case !s.PathManager.SourceRouting:
		routing = "; source routing off"
	}
	if s.PathManager.Backend == "userspace" {
		p.printf("Subflows by mpproxy itself, timeouts noticed by %s%s\n", s.PathManager.Timeouts, routing)
		if n := s.PathManager.EventGaps; n > 0 {
			p.printf("         gaps in the kernel's events: %d; after each every connection was read anew\n", n)
		}
		return
	}
	p.printf("Subflows by the kernel's path manager: %s, %d endpoints%s\n", state, s.PathManager.Endpoints, routing)
}

func (p *printer) paths(s Status) {
	if s.Program == Concentrator {
		return // its clients' paths are not its to know
	}
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
		if path.SignalDBm != 0 {
			state += fmt.Sprintf(", %d dBm", path.SignalDBm)
		}
		if path.Weak {
			state += ", weak"
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
		if path.Trouble != nil {
			p.printf("  %s: %s\n", path.Name, trouble(*path.Trouble, s.Taken))
		}
	}
}

// trouble says for how long a path is left alone, and why.
func trouble(t Trouble, now time.Time) string {
	what := "to be tried again"
	switch {
	case t.LeftAloneSeconds > 0:
		what = fmt.Sprintf("left alone for %.1f s", t.LeftAloneSeconds)
	case t.Unproven:
		what = "left alone until it answers several probes in a row"
	}
	times := "once"
	if t.Failures > 1 {
		times = fmt.Sprintf("%d times", t.Failures)
	}
	return fmt.Sprintf("%s: %s (%s, %s, first %s ago)", what, t.Reason, t.Kind, times, age(now.Sub(t.Since)))
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

// changed says what is put back when mpproxy stops, and what somebody else has changed
// since.
func (p *printer) changed(s Status) {
	if len(s.Changed) == 0 {
		return
	}
	p.printf("\nChanged on this host\n")
	for _, c := range s.Changed {
		before := "put back when mpproxy stops"
		if c.Before != "" {
			before = "was " + c.Before + ", " + before
		}
		if c.Now != c.Set {
			before = "now " + c.Now + ", by somebody else"
		}
		p.printf("  %s: %s (%s)\n", c.What, c.Set, before)
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
