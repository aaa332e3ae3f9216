package mode

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	. "mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

// anyInput draws a connection and paths, the odd ones included.
func anyInput(r *rand.Rand) (Conn, []Path, Memory) {
	names := []string{"wifi", "lte", "dsl", "sat"}
	ms := func(n int) time.Duration { return time.Duration(r.IntN(n)) * time.Millisecond }
	often := func(n int) bool { return r.IntN(n) == 0 }
	var paths []Path
	for _, n := range names[:r.IntN(5)] {
		p := Path{Name: n, Rank: 1 + r.IntN(3), Metered: often(3), Up: !often(4), UpFor: ms(6000)}
		if often(3) {
			p.Retry = ms(3000)
		}
		if often(3) {
			p.RTT = ms(300)
		}
		if often(8) {
			p.Silent = ms(500)
		}
		if often(2) {
			p.RTT, p.RTTAge, p.Answered = ms(300), ms(3000), ms(1000)
			p.Heard = p.Answered
		}
		paths = append(paths, p)
	}
	r.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	c := Conn{
		Role: Role(r.IntN(5) / 4), Mode: anyMode(r.IntN), Age: ms(100_000),
		Sent: uint64(r.IntN(3 << 20)), Received: uint64(r.IntN(3 << 20)), Pending: uint64(r.IntN(3)) << 14, CannotJoin: often(10),
	}
	if often(5) {
		c.Prefer = slices.Clone(names[r.IntN(4):])
		r.Shuffle(len(c.Prefer), func(i, j int) { c.Prefer[i], c.Prefer[j] = c.Prefer[j], c.Prefer[i] })
	}
	for id := range r.IntN(6) {
		s := Subflow{
			ID: SubflowID(id + 1), Path: append(names, "")[r.IntN(5)], Initial: id == 0, Backup: often(3), PeerBackup: often(6),
			Established: !often(4), Age: ms(20_000), RTT: ms(400), RTTVar: ms(40), RTO: 200*time.Millisecond + ms(1500),
			LossRate: r.Float64() / 3, LossKnown: often(2), Delivery: uint64(r.IntN(2e6)), Pacing: uint64(r.IntN(2e6)),
			Arrival: uint64(r.IntN(2e5)), Quiet: ms(1000), Busy: often(2), Sent: uint64(r.IntN(1 << 20)), Received: uint64(r.IntN(1 << 20)),
		}
		s.MinRTT = s.RTT / time.Duration(1+r.IntN(8))
		if s.LossKnown {
			s.LossFloor, s.FloorKnown = s.LossRate, often(2)
		}
		s.FreshLoss, s.Fresh, s.Starting, s.UsedAgo = r.Float64()/3, r.IntN(100), often(4), ms(4000)
		if often(2) {
			s.Stalled, s.Unacked, s.Timeouts = ms(500), r.IntN(12), r.IntN(3)
			s.KeepAlives = s.Unacked / 10
		}
		c.Subflows = append(c.Subflows, s)
	}
	m := Memory{}
	if often(2) {
		m.Best, m.Since = names[r.IntN(4)], c.Age/2
		turn, active := r.IntN(6), often(2)
		at, mark, markIn := c.Age-ms(3000), uint64(r.IntN(1<<20)), uint64(r.IntN(1<<20))
		m.Notes = []Note{{Path: names[r.IntN(4)], Reason: reason.Reason{Text: "loss"}, Failures: 1 + r.IntN(3), Until: c.Age + ms(20_000) - 10*time.Second}}
		stage := []Stage{stageQuiet, stageRoom, stageWarm, stageJudge}[r.IntN(4)]
		counts := []Carried{{SubflowID(1 + r.IntN(5)), uint64(r.IntN(1 << 20))}}
		parked, total, proven := []SubflowID{SubflowID(r.IntN(6))}, uint64(r.IntN(1<<20)), []SubflowID{SubflowID(1 + r.IntN(5))}
		var rate uint64
		m.Lost, m.Stood, rate = c.Age-ms(500), c.Age-ms(3000), uint64(r.IntN(1<<20))
		m.Watches = []Watch{{ID: SubflowID(1 + r.IntN(5)), Sign: []Sign{SignLoss, SignPoor}[r.IntN(2)], Since: c.Age - ms(4000)}}
		switch c.Mode {
		case Aggregate:
			m.Own = &GuardMemory{Mark: mark, At: at}
		case Lazy:
			m.Own = &LazyMemory{Turn: turn, GuardMemory: GuardMemory{Mark: mark, At: at}, Active: active}
		case Streaming:
			m.Own = &StreamingMemory{Turn: turn, Mark: mark, MarkIn: markIn, At: at, Active: active}
		case Refresh:
			m.Own = &RefreshMemory{
				Turn: turn, Stage: stage, At: at, Mark: mark, MarkIn: markIn, Counts: counts, Rate: rate,
				Parked: parked, Total: total, Proven: proven, Active: active,
			}
		}
	}
	return c, paths, m
}

// drawn is how many modes are drawn from, so that a seed means the same input when
// modes are added. Those have inputs of their own.
const drawn = 9

func anyMode(choose func(int) int) Mode { return Modes()[choose(drawn)] }

// apply makes a plan come true, as the controller and the kernel would.
func apply(c Conn, paths []Path, plan Plan) (Conn, []Path) {
	paths = slices.Clone(paths)
	var subs []Subflow
	next := SubflowID(100)
	for _, s := range c.Subflows {
		for _, k := range plan.Keep {
			if k.ID == s.ID {
				s.Backup = k.Backup
				subs = append(subs, s)
			}
		}
	}
	for _, d := range plan.Drop {
		for i := range paths {
			if d.Cause == Failed && paths[i].Name == d.Path {
				paths[i].Retry = time.Second
			}
		}
	}
	for _, cr := range plan.Create {
		subs = append(subs, Subflow{ID: next, Path: cr.Path, Backup: cr.Backup})
		next++
	}
	c.Subflows = subs
	return c, paths
}

func violations(c Conn, paths []Path, plan Plan) (bad []string) {
	complain := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	seen := map[SubflowID]int{}
	established, kept := 0, 0
	for _, k := range plan.Keep {
		seen[k.ID]++
	}
	for _, d := range plan.Drop {
		seen[d.ID]++
		if d.Reason.String() == "" {
			complain("subflow %d is dropped without a reason", d.ID)
		}
	}
	for _, s := range c.Subflows {
		if seen[s.ID] != 1 {
			complain("subflow %d stands %d times in the plan", s.ID, seen[s.ID])
		}
		delete(seen, s.ID)
		if s.Established {
			established++
		}
		for _, k := range plan.Keep {
			if k.ID != s.ID {
				continue
			}
			if s.Established {
				kept++
			}
			if (k.Backup != s.Backup) != (k.Reason != (reason.Reason{})) {
				complain("subflow %d: backup %v → %v with the reason %q", s.ID, s.Backup, k.Backup, k.Reason)
			}
		}
	}
	if len(seen) > 0 {
		complain("the plan names subflows that do not exist: %v", seen)
	}
	if established > 0 && kept == 0 {
		complain("no established subflow is left of %d", established)
	}
	if len(plan.Create) > 0 && (c.Role == Concentrator || c.CannotJoin) {
		complain("%v creates with CannotJoin %v", c.Role, c.CannotJoin)
	}
	created := map[string]int{}
	for _, cr := range plan.Create {
		created[cr.Path]++
		i := slices.IndexFunc(paths, func(p Path) bool { return p.Name == cr.Path })
		if i < 0 || !paths[i].Up || paths[i].Retry > 0 || cr.Reason.String() == "" || len(c.Prefer) > 0 && !slices.Contains(c.Prefer, cr.Path) {
			complain("creates %+v, which cannot be", cr)
		}
		alive := func(s Subflow) bool {
			return s.Path == cr.Path && (!s.Established || s.Timeouts < 2 && s.KeepAlives == 0 || paths[i].Heard == 0)
		}
		if has := slices.ContainsFunc(c.Subflows, alive); c.Mode != Refresh && c.Mode != Ndiffports && (has || created[cr.Path] > 1) {
			complain("creates a second subflow on %s", cr.Path)
		}
	}
	if plan.Look != 0 && plan.Look < 10*time.Millisecond {
		complain("looks again in %v", plan.Look)
	}
	return bad
}

// checkInput holds one decision against all that must hold for any.
func checkInput(t *testing.T, c Conn, paths []Path, m Memory) {
	t.Helper()
	asJSON := func(x any) string { b, _ := json.Marshal(x); return string(b) }
	before := asJSON([]any{c, paths, m})
	plan, after := Decide(c, paths, m)
	if now := asJSON([]any{c, paths, m}); now != before {
		t.Fatalf("Decide changed its input\n%s\n%s", before, now)
	}
	show := func() { t.Fatalf("input %s\nplan  %s\nafter %s", before, asJSON(plan), asJSON(after)) }
	if bad := violations(c, paths, plan); bad != nil {
		t.Error(bad)
		show()
	}
	if again, _ := Decide(c, paths, m); !reflect.DeepEqual(plan, again) {
		t.Errorf("the same input gave another plan: %s", asJSON(again))
		show()
	}
	done, waiting := apply(c, paths, plan)
	second, _ := Decide(done, waiting, after)
	for _, k := range second.Keep {
		if k.Reason != (reason.Reason{}) {
			t.Errorf("changes its mind about subflow %d: backup %v, %s", k.ID, k.Backup, k.Reason)
			show()
		}
	}
	if second.Drop != nil || second.Create != nil {
		t.Errorf("changes its mind: %s", asJSON(second))
		show()
	}
	var read Memory
	if err := json.Unmarshal([]byte(asJSON(after)), &read); err != nil {
		t.Fatal(err)
	}
	replayed, _ := Decide(done, waiting, read)
	if diff := cmp.Diff(second, replayed); diff != "" {
		t.Errorf("memory does not survive JSON (-want +got):\n%s", diff)
	}
}

func TestAnyInput(t *testing.T) {
	n := 200_000
	if testing.Short() {
		n = 20_000
	}
	for seed := range n {
		c, paths, m := anyInput(rand.New(rand.NewPCG(uint64(seed), 3)))
		checkInput(t, c, paths, m)
		for _, c.Mode = range Modes()[drawn:] {
			m.Own = nil
			checkInput(t, c, paths, m)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzDecide(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint8(0), int64(0))
	f.Fuzz(func(t *testing.T, a, b uint64, mode uint8, age int64) {
		c, paths, m := anyInput(rand.New(rand.NewPCG(a, b)))
		c.Mode = Modes()[int(mode)%len(Modes())]
		c.Age += time.Duration(age & (1<<50 - 1))
		checkInput(t, c, paths, m)
	})
}
