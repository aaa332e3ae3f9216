package mode

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "mpproxy/pathctl/policy"
)

const ms = time.Millisecond

// The paths of most tables: wifi is preferred, lte metered.
func wifi() Path { return Path{Name: "wifi", Rank: 1, Up: true, UpFor: time.Hour} }
func dsl() Path  { return Path{Name: "dsl", Rank: 2, Up: true, UpFor: time.Hour} }
func lte() Path  { return Path{Name: "lte", Rank: 3, Metered: true, Up: true, UpFor: time.Hour} }

func down(p Path) Path                     { p.Up, p.UpFor = false, 0; return p }
func retry(p Path) Path                    { p.Retry = time.Second; return p }
func unproven(p Path) Path                 { p.Unproven = true; return p }
func upFor(p Path, d time.Duration) Path   { p.UpFor = d; return p }
func ways(p ...Path) []Path                { return p }
func on(id SubflowID, path string) Subflow { return estab(id, path, 20*ms) }
func backedUp(s Subflow) Subflow           { s.Backup = true; return s }
func pending(id SubflowID, path string, age time.Duration) Subflow {
	return Subflow{ID: id, Path: path, Age: age}
}

func estab(id SubflowID, path string, rtt time.Duration) Subflow {
	return Subflow{
		ID: id, Path: path, Initial: id == 1, Established: true, Age: 10 * time.Second,
		RTT: rtt, RTTVar: rtt / 8, MinRTT: rtt, RTO: rtt + 200*ms, Busy: true,
	}
}

func stalled(s Subflow, d time.Duration) Subflow { s.Stalled, s.Unacked = d, 20; return s }

func lossy(s Subflow, rate float64) Subflow {
	s.LossRate, s.LossKnown, s.LossFloor, s.FloorKnown = rate, true, rate, true
	return s
}

// row is one decision: what goes in, and what comes out in the words of
// summary.
type row struct {
	name   string
	subs   []Subflow
	paths  []Path
	memory Memory
	conn   func(*Conn)
	want   string
	why    string // a reason that must stand in the plan
	then   func(*testing.T, Plan, Memory)
}

func run(t *testing.T, mode Mode, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			c := Conn{Mode: mode, Age: 30 * time.Second, Subflows: r.subs}
			if r.conn != nil {
				r.conn(&c)
			}
			plan, after := Decide(c, r.paths, r.memory)
			if got := summary(plan); got != r.want {
				t.Errorf("got  %s\nwant %s\n%+v", got, r.want, plan)
			}
			if text := fmt.Sprintf("%+v", plan); !strings.Contains(text, r.why) {
				t.Errorf("no reason with %q in %s", r.why, text)
			}
			if r.then != nil {
				r.then(t, plan, after)
			}
			checkInput(t, c, r.paths, r.memory)
		})
	}
}

// summary writes a plan as "1 2b -3 failed +lte +dsl b ?wifi".
func summary(p Plan) string {
	var b strings.Builder
	for _, k := range p.Keep {
		fmt.Fprintf(&b, " %d%s", k.ID, mark(k.Backup, "b"))
	}
	for _, d := range p.Drop {
		fmt.Fprintf(&b, " -%d %v", d.ID, d.Cause)
	}
	for _, c := range p.Create {
		fmt.Fprintf(&b, " +%s%s", c.Path, mark(c.Backup, " b"))
	}
	for _, path := range p.Probe {
		fmt.Fprintf(&b, " ?%s", path)
	}
	return strings.TrimSpace(b.String())
}

func mark(is bool, text string) string {
	if is {
		return text
	}
	return ""
}

var on1 = []Subflow{on(1, "wifi")}

func setAside(s Subflow) Subflow { s.PeerBackup = true; return s }
