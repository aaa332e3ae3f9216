package mode

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	. "mpproxy/pathctl/policy"
	"mpproxy/pathctl/reason"
)

// TestClasses: what each decision is counted by, and, for drops, how long its path is
// left alone: a lossy one for longer than a silent one.
func TestClasses(t *testing.T) {
	with := func(s Subflow, change func(*Subflow)) Subflow { change(&s); return s }
	second := backedUp(on(2, "dsl"))
	noted := Memory{Best: "wifi", Notes: []Note{{Path: "wifi", Failures: 1, Until: 29 * time.Second}}}
	held := Memory{Notes: []Note{{Path: "dsl", Failures: 1, Until: 40 * time.Second}}}
	over := Memory{Notes: []Note{{Path: "dsl", Failures: 1, Until: 10 * time.Second}}}
	watched := Memory{Watches: []Watch{{ID: 1, Sign: SignLoss, Since: 20 * time.Second}}}
	const fails = "1 failed: "
	for _, tt := range []struct {
		name   string
		first  Subflow
		more   []Subflow
		paths  []Path
		memory Memory
		want   []string
	}{
		{"silent", stalled(on(1, "wifi"), 300*ms), []Subflow{second}, nil, Memory{}, []string{fails + "timeout", "2 failover"}},
		{"silent, and hardly lost anything before", stalled(lossy(on(1, "wifi"), 0.01), 300*ms), []Subflow{second}, nil, Memory{}, []string{fails + "timeout", "2 failover"}},
		{"timer", with(stalled(on(1, "wifi"), 900*ms), func(s *Subflow) { s.Timeouts, s.RTO = 2, 1090*ms }), []Subflow{second}, nil, Memory{}, []string{fails + "timeout", "2 failover"}},
		{"loses", lossy(on(1, "wifi"), 0.3), []Subflow{second}, nil, watched, []string{fails + "loss", "2 failover"}},
		{"loses, and its timer has expired", with(lossy(on(1, "wifi"), 0.3), func(s *Subflow) { s.Timeouts = 1 }), []Subflow{second}, nil, watched, []string{fails + "loss", "2 failover"}},
		{"loses, and is silent", stalled(lossy(on(1, "wifi"), 0.3), 300*ms), []Subflow{second}, nil, Memory{}, []string{fails + "loss", "2 failover"}},
		{"silent, with much of one window lost", with(stalled(on(1, "wifi"), 300*ms), func(s *Subflow) { s.LossKnown, s.LossRate = true, 0.3 }), []Subflow{second}, nil, Memory{}, []string{fails + "timeout", "2 failover"}},
		{"loses on trial", with(on(1, "wifi"), func(s *Subflow) { s.Fresh, s.FreshLoss = 20, 0.3 }), []Subflow{second}, nil, noted, []string{fails + "loss", "2 failover"}},
		{"loses on trial, and its timer has expired", with(on(1, "wifi"), func(s *Subflow) { s.Fresh, s.FreshLoss, s.Timeouts = 20, 0.3, 1 }), []Subflow{second}, nil, noted, []string{fails + "loss", "2 failover"}},
		{"does not answer", on(1, "wifi"), []Subflow{pending(2, "dsl", 5*time.Second)}, nil, Memory{}, []string{"2 failed: no-answer"}},
		{"down", on(1, "wifi"), []Subflow{second}, ways(down(wifi()), dsl()), Memory{}, []string{"1 path-down: path-down", "2 failover"}},
		{"twin", on(1, "wifi"), []Subflow{on(3, "wifi")}, ways(wifi()), Memory{}, []string{"3 unneeded: unneeded"}},
		{"standby", on(1, "wifi"), nil, nil, Memory{}, []string{"+dsl mode"}},
		{"standby with a past", on(1, "wifi"), nil, nil, held, []string{"+dsl set-aside"}},
		{"standby whose past is over", on(1, "wifi"), nil, nil, over, []string{"+dsl mode"}},
		{"the only one is silent", with(stalled(on(1, "wifi"), 900*ms), func(s *Subflow) { s.Timeouts = 1 }), nil, nil, Memory{}, []string{"+dsl failover"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.paths == nil {
				tt.paths = ways(wifi(), dsl())
			}
			c := Conn{Mode: Handover, Age: 30 * time.Second, Subflows: append([]Subflow{tt.first}, tt.more...)}
			plan, _ := Decide(c, tt.paths, tt.memory)
			if diff := cmp.Diff(tt.want, classes(plan)); diff != "" {
				t.Errorf("%s\n%+v", diff, plan)
			}
		})
	}
}

func classes(p Plan) (all []string) {
	id := func(n SubflowID) string { return string(rune('0' + n)) }
	for _, d := range p.Drop {
		all = append(all, id(d.ID)+" "+d.Cause.String()+": "+string(d.Reason.Class))
	}
	for _, c := range p.Create {
		all = append(all, "+"+c.Path+" "+string(c.Reason.Class))
	}
	for _, k := range p.Keep {
		if k.Reason != (reason.Reason{}) {
			all = append(all, id(k.ID)+" "+string(k.Reason.Class))
		}
	}
	return all
}

func TestReasonText(t *testing.T) {
	aside := reason.Reason{Kind: ReasonSetAside, Path: "dsl", Took: 1090 * ms, Because: &reason.Reason{Kind: harms[loses], Path: "dsl", Rate: 0.05, Most: 0.06}}
	for want, r := range map[string]reason.Reason{
		"": {},
		"dsl is set aside for 1.09 s: dsl loses 5 % and carries less than 6 %": aside,
		"carries the data":         {Kind: ReasonCarries},
		"it was said in old words": {Text: "it was said in old words"},
	} {
		if got := r.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		text, err := json.Marshal(r)
		var again reason.Reason
		if err != nil || json.Unmarshal(text, &again) != nil || !cmp.Equal(r, again) {
			t.Errorf("%s came back as %+v: %v", text, again, err)
		}
	}
	var r reason.Reason
	if err := json.Unmarshal([]byte(`"it was said in old words"`), &r); err != nil || r.String() != "it was said in old words" {
		t.Errorf("words alone: %+v, %v", r, err)
	}
	if err := json.Unmarshal([]byte(`{"Kind":"whim"}`), &r); err == nil {
		t.Error("a kind that does not exist was read")
	}
}
