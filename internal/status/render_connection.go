package status

import "fmt"

func (p *printer) connections(s Status, most int) {
	p.printf("\nConnections: %d live, %d since the start", s.Totals.Live, s.Totals.Connections)
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{s.Totals.Reused, "without a handshake, on a leg that was there"},
		{s.Totals.AnsweredWrongly, "answered early and reset, as the destination was not reached"},
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
	p.printf("  #%d %s%s  mode %s%s, %s, open %s, sent %s, received %s\n", c.ID, c.Destination, client(s, c), c.Mode, rule(c), proto,
		age(s.Taken.Sub(c.Opened)), Bytes(c.SentBytes), Bytes(c.ReceivedBytes))
	if c.Decision != "" {
		p.printf("      last decision: %s\n", c.Decision)
	}
	for _, f := range c.Subflows {
		p.subflow(f)
	}
}

// subflow prints what it is, then how it does, then what it has done.
func (p *printer) subflow(f Subflow) {
	priority := ""
	if f.Backup {
		priority = "backup, "
	}
	p.printf("      %-8s %s → %s  %sRTT %.1f ms, RTO %.0f ms, receiving %s, sending %s%s; sent %s, received %s, retransmitted %s\n", f.Path, f.Local, f.Remote,
		priority, f.RTTMillis, f.RTOMillis, Rate(f.ReceiveRate), Rate(f.SendRate), loss(f),
		Bytes(f.SentBytes), Bytes(f.ReceivedBytes), Bytes(f.Retransmitted))
}

func loss(f Subflow) string {
	if f.LossRatio == 0 {
		return ""
	}
	return fmt.Sprintf(", loss %.3g %%", 100*f.LossRatio)
}

// client says whose connection it is, where there are many.
func client(s Status, c Connection) string {
	if s.Program != Concentrator {
		return ""
	}
	return fmt.Sprintf(" for %s at %s", c.User, c.Peer)
}

func rule(c Connection) string {
	if c.Rule != "" {
		return " (" + c.Rule + ")"
	}
	return ""
}
