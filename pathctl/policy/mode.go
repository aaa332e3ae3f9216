package policy

import "fmt"

// Mode names how a connection uses its paths. An application asks for one in
// its SOCKS5 user name, a user in the configuration; the same word travels
// from the application over the client to the concentrator.
type Mode string

// The modes that exist. The table in docs/modes.md says what each one
// does and which paper or RFC it comes from.
const (
	Aggregate   Mode = "aggregate"   // every usable path carries data
	Handover    Mode = "handover"    // the best-ranked path carries data, the next takes over when it fails
	Interactive Mode = "interactive" // the lowest-latency path carries data, the others are backups
	Lazy        Mode = "lazy"        // one path until the flow is long enough
	Streaming   Mode = "streaming"   // a second path when a periodic block is late (SMAPP §4.3)
	Refresh     Mode = "refresh"     // n subflows, the slowest replaced in turn (SMAPP §4.4)
	Backup      Mode = "backup"      // a second subflow at once, flagged backup (RFC 8684 §3.3.8)
	Ndiffports  Mode = "ndiffports"  // n subflows on one path
	Single      Mode = "single"      // one subflow, no others
)

// Default is the mode of a connection for which nothing else was asked.
const Default = Aggregate

var modes = []Mode{Aggregate, Handover, Interactive, Lazy, Streaming, Refresh, Backup, Ndiffports, Single}

// Several says of a mode that it has several subflows on one path.
func (m Mode) Several() bool { return m == Refresh || m == Ndiffports }

// Modes returns every mode, the default first.
func Modes() []Mode { return append([]Mode(nil), modes...) }

// ParseMode returns the mode with that exact name.
func ParseMode(name string) (Mode, error) {
	for _, m := range modes {
		if string(m) == name {
			return m, nil
		}
	}
	return "", fmt.Errorf("unknown mode %q: the modes are %v", name, modes)
}
