package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is what a number's text looks like.
type Kind uint8

// The kinds. Duration is "500ms", Bytes "64KiB" or "1MB", Rate is Bytes for each
// second, Ratio "0.1" and Count "5".
const (
	Duration Kind = iota
	Bytes
	Rate
	Ratio
	Count
)

func (k Kind) String() string {
	switch k {
	case Duration:
		return "duration"
	case Bytes:
		return "size"
	case Rate:
		return "rate"
	case Ratio:
		return "ratio"
	case Count:
		return "count"
	}
	return "unknown"
}

// Param describes one number of Params.
type Param struct {
	Key  string // in [modes.NAME] of the configuration
	Kind Kind
	// Min and Max are the range, in text of the Kind, both included.
	Min, Max string
	Doc      string
	// Modes are those that use it; nil means all.
	Modes []Mode

	field func(*Params) any // *time.Duration, *uint64, *float64 or *int
}

// Legal tells the range in words.
func (d Param) Legal() string { return d.Min + " to " + d.Max }

// Params returns the description of every number that means something to the
// mode, in a fixed order.
func (m Mode) Params() []Param {
	return slices.DeleteFunc(slices.Clone(paramTable), func(d Param) bool {
		return d.Modes != nil && !slices.Contains(d.Modes, m)
	})
}

// Get returns the number with that key as text that Set understands.
func (p Params) Get(key string) (string, error) {
	d, err := paramOf(key)
	if err != nil {
		return "", err
	}
	return format(d.field(&p)), nil
}

// Set reads the number with that key from text. An error Is ErrParams, and
// leaves p as it was.
func (p *Params) Set(key, text string) error {
	d, err := paramOf(key)
	if err != nil {
		return err
	}
	changed := *p
	if err := parse(d.field(&changed), text); err != nil {
		return &ParamError{key, strconv.Quote(text), fmt.Sprintf("a %v from %s", d.Kind, d.Legal())}
	}
	if err := d.check(&changed); err != nil {
		return err
	}
	*p = changed
	return nil
}

func paramOf(key string) (*Param, error) {
	for i := range paramTable {
		if paramTable[i].Key == key {
			return &paramTable[i], nil
		}
	}
	return nil, &ParamError{key, "this key", "one that the mode has"}
}

// check compares a number with its range.
func (d *Param) check(p *Params) error {
	var low, high Params
	if parse(d.field(&low), d.Min) != nil || parse(d.field(&high), d.Max) != nil {
		return fmt.Errorf("%s: its range %q is not readable", d.Key, d.Legal())
	}
	if !within(d.field(&low), d.field(p), d.field(&high)) {
		return &ParamError{d.Key, format(d.field(p)), d.Legal()}
	}
	return nil
}

func within(low, x, high any) bool {
	switch x := x.(type) {
	case *time.Duration:
		return between(low.(*time.Duration), x, high.(*time.Duration))
	case *uint64:
		return between(low.(*uint64), x, high.(*uint64))
	case *float64:
		return between(low.(*float64), x, high.(*float64))
	case *int:
		return between(low.(*int), x, high.(*int))
	}
	return false
}

// between is false for NaN.
func between[T cmp.Ordered](low, x, high *T) bool { return *low <= *x && *x <= *high }

func parse(to any, text string) (err error) {
	switch to := to.(type) {
	case *time.Duration:
		*to, err = time.ParseDuration(text)
	case *uint64:
		*to, err = parseSize(text)
	case *float64:
		*to, err = strconv.ParseFloat(text, 64)
	case *int:
		*to, err = strconv.Atoi(text)
	}
	return err
}

func format(x any) string {
	switch x := x.(type) {
	case *time.Duration:
		return formatDuration(*x)
	case *uint64:
		return formatSize(*x)
	case *float64:
		return strconv.FormatFloat(*x, 'g', -1, 64)
	case *int:
		return strconv.Itoa(*x)
	}
	return ""
}

// formatDuration writes "2h4m", not "2h4m0s".
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var units = []struct {
	name string
	size uint64
}{{"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"KB", 1e3}, {"B", 1}}

// parseSize reads "64KiB", "1MB", "512B" or "512".
func parseSize(text string) (uint64, error) {
	factor := uint64(1)
	for _, u := range units {
		if number, ok := strings.CutSuffix(text, u.name); ok {
			text, factor = strings.TrimSpace(number), u.size
			break
		}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, err
	}
	if n > ^uint64(0)/factor {
		return 0, strconv.ErrRange
	}
	return n * factor, nil
}

func formatSize(n uint64) string {
	for _, u := range units {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatUint(n/u.size, 10) + u.name
		}
	}
	return "0B"
}

var (
	inOne     = []Mode{Handover, Backup, Interactive, Ndiffports, Refresh, Lazy}
	inMany    = []Mode{Aggregate, Lazy}
	inLatency = []Mode{Interactive}
	inLazy    = []Mode{Lazy}
	inStream  = []Mode{Streaming}
	inCount   = []Mode{Refresh, Ndiffports}
	inRefresh = []Mode{Refresh}
)

// paramTable describes every field of Params, in the order of the reference
// configuration.
var paramTable = []Param{
	{"stall_timeout", Duration, "20ms", "1m", "A subflow has failed when data in flight was not acknowledged for this long, or for stall_rtts round trips and four times their variation, if that is longer; up to two round trips more where they vary by an eighth to a quarter.", nil, func(p *Params) any { return &p.StallTimeout }},
	{"stall_rtts", Ratio, "1", "20", "Round trips without an acknowledgement that make a stall.", nil, func(p *Params) any { return &p.StallRTTs }},
	{"stall_burst", Count, "1", "100", "Segments in flight whose silence counts before the retransmission timer has expired.", nil, func(p *Params) any { return &p.StallBurst }},
	{"stall_proof", Count, "1", "20", "Transmissions without an answer, retransmissions included, that prove a failure once the timer has expired.", nil, func(p *Params) any { return &p.StallProof }},
	{"rto_threshold", Duration, "100ms", "2m", "A subflow has failed when its timer expired, is longer than this, and nothing newer gets through.", nil, func(p *Params) any { return &p.RTOThreshold }},
	{"loss_threshold", Ratio, "0.02", "1", "A subflow has failed when this share of its segments was sent again in each quarter of a second, and another path is better.", nil, func(p *Params) any { return &p.LossThreshold }},
	{"loss_time", Duration, "0s", "1m", "How long loss must last beyond the second in which it is measured.", nil, func(p *Params) any { return &p.LossTime }},
	{"loss_advantage", Ratio, "1.5", "100", "How many times less another path must lose to be better.", nil, func(p *Params) any { return &p.LossAdvantage }},
	{"probe_timeout", Duration, "20ms", "1m", "A path is dead when probes on it were unanswered for this long, or for stall_rtts round trips, if that is longer.", nil, func(p *Params) any { return &p.ProbeTimeout }},
	{"doubt_rate", Rate, "1KB", "1GB", "A path is probed when data stops that arrived at this rate or faster, and no other subflow would carry it.", nil, func(p *Params) any { return &p.DoubtRate }},
	{"join_timeout", Duration, "1s", "2m", "A subflow that is not established by then is given up.", nil, func(p *Params) any { return &p.JoinTimeout }},
	{"join_patience", Duration, "50ms", "2m", "When nothing carries data, the next path is tried as well after this time.", nil, func(p *Params) any { return &p.JoinPatience }},
	{"hold", Duration, "1s", "1h", "How long a path that lost or held back data is not trusted; doubled each further time.", nil, func(p *Params) any { return &p.Hold }},
	{"hold_max", Duration, "1s", "24h", "The longest hold.", nil, func(p *Params) any { return &p.HoldMax }},
	{"forgive", Duration, "1s", "24h", "After this time without trouble a path's past is forgotten.", nil, func(p *Params) any { return &p.Forgive }},
	{"max_subflows", Count, "1", "32", "Subflows of a connection at the most; a concentrator whose kernel decides allows 8 besides the first.", nil, func(p *Params) any { return &p.MaxSubflows }},

	{"return_after", Duration, "0s", "1h", "A better path carries data again when it has been up and good for this long.", inOne, func(p *Params) any { return &p.ReturnAfter }},
	{"linger", Duration, "0s", "1m", "How long a metered subflow stays after another path took over.", inOne, func(p *Params) any { return &p.Linger }},

	{"guard_loss", Ratio, "0.005", "1", "A path with a small share is set aside when it loses this share of its bytes.", inMany, func(p *Params) any { return &p.GuardLoss }},
	{"guard_share", Ratio, "0", "0.5", "What share of the connection's rate is small.", inMany, func(p *Params) any { return &p.GuardShare }},
	{"guard_bloat", Ratio, "1.5", "100", "A path with a small share is set aside when its round trip is this many times its least …", inMany, func(p *Params) any { return &p.GuardBloat }},
	{"guard_queue", Duration, "10ms", "1m", "… and longer by at least this.", inMany, func(p *Params) any { return &p.GuardQueue }},
	{"guard_starved", Ratio, "0", "1", "A slower path is set aside when the connection is below this share of what its best path alone had, and that path has neither loss nor queue.", inMany, func(p *Params) any { return &p.GuardStarved }},
	{"guard_far_share", Ratio, "0", "0.5", "A path that is far away is set aside when it carries less than this share …", inMany, func(p *Params) any { return &p.GuardFarShare }},
	{"guard_far", Duration, "10ms", "1m", "… where far is a round trip longer by this than the best path's, and guard_bloat times as long.", inMany, func(p *Params) any { return &p.GuardFar }},
	{"guard_time", Duration, "100ms", "1m", "How long a path must do harm before it is set aside.", inMany, func(p *Params) any { return &p.GuardTime }},
	{"guard_memory", Duration, "1s", "1h", "How long the best path's rate is remembered.", inMany, func(p *Params) any { return &p.GuardMemory }},

	{"rtt_ratio", Ratio, "1", "10", "Another path takes over when the round trip in use is this many times longer …", inLatency, func(p *Params) any { return &p.RTTRatio }},
	{"rtt_margin", Duration, "0s", "10s", "… and this much more …", inLatency, func(p *Params) any { return &p.RTTMargin }},
	{"rtt_hold", Duration, "0s", "1m", "… for this long.", inLatency, func(p *Params) any { return &p.RTTHold }},
	{"rtt_urgent", Ratio, "1", "100", "At this many times it takes over although the last change was not rtt_stay ago.", inLatency, func(p *Params) any { return &p.RTTUrgent }},
	{"rtt_stay", Duration, "0s", "1h", "How long a path is kept after a change.", inLatency, func(p *Params) any { return &p.RTTStay }},
	{"metered_penalty", Duration, "0s", "10s", "What a metered path must be faster by.", inLatency, func(p *Params) any { return &p.MeteredPenalty }},

	{"lazy_bytes", Bytes, "0B", "1000GB", "Further paths are opened when so many bytes came without a pause …", inLazy, func(p *Params) any { return &p.LazyBytes }},
	{"lazy_time", Duration, "0s", "1h", "… or when they came for this long …", inLazy, func(p *Params) any { return &p.LazyTime }},
	{"lazy_rate", Rate, "0B", "1GB", "… at this rate or faster.", inLazy, func(p *Params) any { return &p.LazyRate }},

	{"block", Bytes, "1KB", "1GB", "The size of a block.", inStream, func(p *Params) any { return &p.Block }},
	{"period", Duration, "50ms", "1m", "The time from one block to the next.", inStream, func(p *Params) any { return &p.Period }},
	{"block_check", Duration, "20ms", "1m", "A path is added when less than half a block has arrived after this time.", inStream, func(p *Params) any { return &p.BlockCheck }},

	{"subflows", Count, "1", "8", "Subflows on the path.", inCount, func(p *Params) any { return &p.SubflowCount }},
	{"refresh_interval", Duration, "100ms", "1h", "How often others are tried in place of the slowest; doubled each time that changes nothing …", inRefresh, func(p *Params) any { return &p.RefreshInterval }},
	{"refresh_max", Duration, "100ms", "1h", "… up to this.", inRefresh, func(p *Params) any { return &p.RefreshMax }},
	{"refresh_early", Count, "0", "100", "So many times at the beginning, they are tried one after the other without waiting.", inRefresh, func(p *Params) any { return &p.RefreshEarly }},
	{"refresh_trial", Duration, "50ms", "1m", "How long a subflow has to show what it can do.", inRefresh, func(p *Params) any { return &p.RefreshTrial }},
	{"refresh_gain", Ratio, "0.01", "1", "By what share the rate of a connection must rise, or twice that share fall, to count as changed.", inRefresh, func(p *Params) any { return &p.RefreshGain }},
}
