package policy

// Number describes one number of N.
type Number[N any] struct {
	Key      string // in [modes.NAME] of the configuration
	Kind     Kind
	Min, Max string // the range, in text of the Kind, both included
	// End says where the number means anything: both ends judge their own sending, the
	// client alone decides which paths there are.
	End   End
	Doc   string       // a sentence, or a part of one that the next number's goes on with
	Field func(*N) any // *time.Duration, *uint64, *float64 or *int
}

// End says where a number means anything.
type End uint8

// The ends.
const (
	AtClient End = iota
	AtBothEnds
)

// Fit is a condition on several numbers. Key is the one to be corrected, and Legal
// what it must be, in words.
type Fit[N any] struct {
	Key, Legal string
	OK         func(*Common, *N) bool
}

// Lift makes the numbers of a part of T numbers of T.
func Lift[T, N any](numbers []Number[N], part func(*T) *N) []Number[T] {
	var out []Number[T]
	for _, n := range numbers {
		out = append(out, Number[T]{n.Key, n.Kind, n.Min, n.Max, n.End, n.Doc, func(t *T) any { return n.Field(part(t)) }})
	}
	return out
}

// LiftFits makes the conditions on a part of T conditions on T.
func LiftFits[T, N any](fits []Fit[N], part func(*T) *N) []Fit[T] {
	var out []Fit[T]
	for _, f := range fits {
		out = append(out, Fit[T]{f.Key, f.Legal, func(c *Common, t *T) bool { return f.OK(c, part(t)) }})
	}
	return out
}

// place finds the numbers of one kind in Params. keep stores them again.
type place[N any] func(p *Params) (numbers *N, keep func(), ok bool)

func commonOf(p *Params) (*Common, func(), bool) { return &p.Common, func() {}, true }

func ownOf[N any](p *Params) (*N, func(), bool) {
	own, ok := p.Own.(N)
	return &own, func() { p.Own = own }, ok
}

func erase[N any](numbers []Number[N], at place[N]) []Param {
	var out []Param
	for _, n := range numbers {
		out = append(out, Param{
			Key: n.Key, Kind: n.Kind, Min: n.Min, Max: n.Max, Doc: n.Doc, bothEnds: n.End == AtBothEnds,
			edit: func(p *Params, do func(any) error) (bool, error) {
				numbers, keep, ok := at(p)
				if !ok {
					return false, nil
				}
				err := do(n.Field(numbers))
				if err == nil {
					keep()
				}
				return true, err
			},
		})
	}
	return out
}

// fitting holds the conditions against numbers.
func (d Definition[N, M]) fitting(p *Params) (out []fitting) {
	for _, f := range commonFits {
		out = append(out, fitting{f.OK(&p.Common, &p.Common), f.Key, f.Legal})
	}
	if own, ok := p.Own.(N); ok {
		for _, f := range d.Fits {
			out = append(out, fitting{f.OK(&p.Common, &own), f.Key, f.Legal})
		}
	}
	return out
}

// UsedBy reports whether the number means anything to a controller in that role.
func (d Param) UsedBy(r Role) bool { return r == Client || d.bothEnds }

// Legal tells the range in words.
func (d Param) Legal() string { return d.Min + " to " + d.Max }

// commonTable describes the numbers that every mode has, in the order of the
// reference configuration, and onePathTable those of modes with the trait OnePath.
var (
	commonTable = []Number[Common]{
		{"stall_timeout", Duration, "20ms", "1m", AtBothEnds, "A subflow has failed when data in flight was not acknowledged for this long, or for stall_rtts round trips and four times their variation, if that is longer; up to two round trips more where they vary by an eighth to a quarter.", func(n *Common) any { return &n.StallTimeout }},
		{"stall_rtts", Ratio, "1", "20", AtBothEnds, "Round trips without an acknowledgement that make a stall.", func(n *Common) any { return &n.StallRTTs }},
		{"stall_burst", Count, "1", "100", AtBothEnds, "Segments in flight whose silence counts before the retransmission timer has expired.", func(n *Common) any { return &n.StallBurst }},
		{"stall_proof", Count, "1", "20", AtBothEnds, "Transmissions without an answer, retransmissions included, that prove a failure once the timer has expired.", func(n *Common) any { return &n.StallProof }},
		{"rto_threshold", Duration, "100ms", "2m", AtBothEnds, "A subflow has failed when its timer expired, is longer than this, and nothing newer gets through.", func(n *Common) any { return &n.RTOThreshold }},
		{"loss_threshold", Ratio, "0.02", "1", AtBothEnds, "A subflow has failed when this share of its segments was sent again in each quarter of a second, and another path is better.", func(n *Common) any { return &n.LossThreshold }},
		{"loss_time", Duration, "0s", "1m", AtBothEnds, "How long loss must last beyond the second in which it is measured.", func(n *Common) any { return &n.LossTime }},
		{"loss_advantage", Ratio, "1.5", "100", AtBothEnds, "How many times less another path must lose to be better.", func(n *Common) any { return &n.LossAdvantage }},
		{"probe_timeout", Duration, "20ms", "1m", AtClient, "A path is dead when probes on it were unanswered for this long, or for stall_rtts round trips, if that is longer.", func(n *Common) any { return &n.ProbeTimeout }},
		{"doubt_rate", Rate, "1KB", "1GB", AtClient, "A path is probed when data stops that arrived at this rate or faster, and no other subflow would carry it.", func(n *Common) any { return &n.DoubtRate }},
		{"join_timeout", Duration, "1s", "2m", AtBothEnds, "A subflow that is not established by then is given up.", func(n *Common) any { return &n.JoinTimeout }},
		{"join_patience", Duration, "50ms", "2m", AtClient, "When nothing carries data, the next path is tried as well after this time.", func(n *Common) any { return &n.JoinPatience }},
		{"hold", Duration, "1s", "1h", AtBothEnds, "How long a path that lost or held back data is not trusted; doubled each further time.", func(n *Common) any { return &n.Hold }},
		{"hold_max", Duration, "1s", "24h", AtBothEnds, "The longest hold.", func(n *Common) any { return &n.HoldMax }},
		{"forgive", Duration, "1s", "24h", AtBothEnds, "After this time without trouble a path's past is forgotten.", func(n *Common) any { return &n.Forgive }},
		{"max_subflows", Count, "1", "32", AtClient, "Subflows of a connection at the most; a concentrator whose kernel decides allows 8 besides the first.", func(n *Common) any { return &n.MaxSubflows }},
	}
	onePathTable = []Number[Common]{
		{"return_after", Duration, "0s", "1h", AtClient, "A better path carries data again when it has been up and good for this long.", func(n *Common) any { return &n.ReturnAfter }},
		{"linger", Duration, "0s", "1m", AtClient, "How long a metered subflow stays after another path took over.", func(n *Common) any { return &n.Linger }},
	}
)

var commonFits = []Fit[Common]{
	{"hold", "at most hold_max", func(c, _ *Common) bool { return c.Hold <= c.HoldMax }},
	{"join_patience", "at most join_timeout", func(c, _ *Common) bool { return c.JoinPatience <= c.JoinTimeout }},
}
