package engine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

func TestSteps(t *testing.T) {
	sub := func(id policy.SubflowID, path string, edit func(*policy.Subflow)) policy.Subflow {
		f := policy.Subflow{ID: id, Path: path, Established: true}
		if edit != nil {
			edit(&f)
		}
		return f
	}
	dsl, lte := sub(1, "dsl0", nil), sub(2, "lte0", func(f *policy.Subflow) { f.Backup = true })
	conn := func(fs ...policy.Subflow) policy.Conn { return policy.Conn{Age: time.Minute, Subflows: fs} }
	silent := func(f *policy.Subflow) { f.Timeouts = 1 }
	lossy := func(f *policy.Subflow) { f.LossKnown, f.LossRate = true, 0.3 }
	for _, tt := range []struct {
		name   string
		conn   policy.Conn
		memory policy.Memory
		plan   policy.Plan
		want   []Step
	}{
		{name: "nothing changes", conn: conn(dsl, lte), plan: policy.Plan{Keep: []policy.Keep{{ID: 1}, {ID: 2, Backup: true}}}},
		{
			name: "as the mode wants", conn: conn(dsl),
			plan: policy.Plan{Create: []policy.Create{{Path: "lte0", Backup: true, Why: "standby"}}},
			want: []Step{{Action: ActionCreate, Path: "lte0", Backup: true, Reason: ReasonMode, Why: "standby"}},
		},
		{
			name: "failover", conn: conn(sub(1, "dsl0", silent), lte),
			plan: policy.Plan{
				Drop: []policy.Drop{{ID: 1, Path: "dsl0", Cause: policy.Failed, Why: "silent"}},
				Keep: []policy.Keep{{ID: 2, Why: "takes over"}},
			},
			want: []Step{
				{Action: ActionDestroy, ID: 1, Path: "dsl0", Cause: policy.Failed, Reason: ReasonTimeout, Why: "silent"},
				{Action: ActionUse, ID: 2, Path: "lte0", Reason: ReasonFailover, Why: "takes over"},
			},
		},
		{
			name: "what is too much goes last", conn: conn(dsl, lte, sub(3, "usb0", nil)),
			plan: policy.Plan{
				Create: []policy.Create{{Path: "wlan0"}},
				Keep:   []policy.Keep{{ID: 2}},
				Drop:   []policy.Drop{{ID: 3, Path: "usb0", Cause: policy.Unneeded}, {ID: 1, Path: "dsl0", Cause: policy.PathDown}},
			},
			want: []Step{
				{Action: ActionDestroy, ID: 1, Path: "dsl0", Cause: policy.PathDown, Reason: ReasonPathDown},
				{Action: ActionCreate, Path: "wlan0", Reason: ReasonFailover},
				{Action: ActionUse, ID: 2, Path: "lte0", Reason: ReasonFailover},
				{Action: ActionDestroy, ID: 3, Path: "usb0", Cause: policy.Unneeded, Reason: ReasonUnneeded},
			},
		},
		{
			name: "created because the only one is silent", conn: conn(sub(1, "dsl0", silent)),
			plan: policy.Plan{Create: []policy.Create{{Path: "lte0"}}, Keep: []policy.Keep{{ID: 1}}},
			want: []Step{{Action: ActionCreate, Path: "lte0", Reason: ReasonFailover}},
		},
		{
			name: "set aside", conn: conn(dsl),
			memory: policy.Memory{Notes: []policy.Note{{Path: "dsl0", Until: time.Hour}}},
			plan:   policy.Plan{Keep: []policy.Keep{{ID: 1, Backup: true}}},
			want:   []Step{{Action: ActionBackup, ID: 1, Path: "dsl0", Reason: ReasonSetAside}},
		},
		{
			name: "what was held against it is over", conn: conn(dsl),
			memory: policy.Memory{Notes: []policy.Note{{Path: "dsl0", Until: time.Second}}},
			plan:   policy.Plan{Keep: []policy.Keep{{ID: 1, Backup: true}}},
			want:   []Step{{Action: ActionBackup, ID: 1, Path: "dsl0", Reason: ReasonMode}},
		},
		{
			name: "no priority before it is established", conn: conn(sub(1, "dsl0", func(f *policy.Subflow) { f.Established = false })),
			plan: policy.Plan{Keep: []policy.Keep{{ID: 1, Backup: true}, {ID: 99, Backup: true}}},
			want: []Step{},
		},
		{
			name: "drops", conn: conn(sub(1, "dsl0", lossy), sub(2, "lte0", func(f *policy.Subflow) { f.Established = false })),
			plan: policy.Plan{Drop: []policy.Drop{
				{ID: 1, Path: "dsl0", Lossy: true},
				{ID: 2, Path: "lte0"},
				{ID: 3, Path: "a", Cause: policy.PathDown},
				{ID: 4, Path: "b", Cause: policy.Unneeded},
				{ID: 5, Path: "c", Cause: policy.Replaced},
			}},
			want: []Step{
				{Action: ActionDestroy, ID: 1, Path: "dsl0", Reason: ReasonLoss},
				{Action: ActionDestroy, ID: 2, Path: "lte0", Reason: ReasonNoAnswer},
				{Action: ActionDestroy, ID: 3, Path: "a", Cause: policy.PathDown, Reason: ReasonPathDown},
				{Action: ActionDestroy, ID: 4, Path: "b", Cause: policy.Unneeded, Reason: ReasonUnneeded},
				{Action: ActionDestroy, ID: 5, Path: "c", Cause: policy.Replaced, Reason: ReasonReplaced},
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Steps(tt.conn, tt.memory, tt.plan)
			if len(got) == 0 && len(tt.want) == 0 {
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A lossy subflow keeps the reason that the policy gave it: one on trial has no
// loss rate of a whole window yet, and one that loses much has a timer that
// expires. Taken for a timeout, their path would be back too soon.
func TestStepsOfLossySubflow(t *testing.T) {
	for name, dropped := range map[string]policy.Subflow{
		"on trial": {FreshLoss: 0.4, Fresh: 40, UsedAgo: time.Second},
		"with timer expiries": {
			LossKnown: true, LossRate: 0.3, FloorKnown: true, LossFloor: 0.3, Timeouts: 1,
			RTO: 300 * time.Millisecond, UsedAgo: 30 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dropped.ID, dropped.Path, dropped.Established = 1, "dsl0", true
			dropped.RTT, dropped.MinRTT, dropped.Busy = 30*time.Millisecond, 30*time.Millisecond, true
			conn := policy.Conn{Mode: mode.Aggregate, Age: time.Minute, Subflows: []policy.Subflow{
				dropped,
				{ID: 2, Path: "lte0", Established: true, RTT: 30 * time.Millisecond, MinRTT: 30 * time.Millisecond, UsedAgo: 30 * time.Second, FloorKnown: true},
			}}
			paths := []policy.Path{{Name: "dsl0", Rank: 1, Up: true}, {Name: "lte0", Rank: 2, Up: true}}
			memory := policy.Memory{
				Notes:   []policy.Note{{Path: "dsl0", Until: 50 * time.Second}},
				Watches: []policy.Watch{{ID: 1, Sign: policy.SignLoss, Since: 50 * time.Second}},
			}
			plan, memory := policy.Decide(conn, paths, memory)
			for _, s := range Steps(conn, memory, plan) {
				if s.Action == ActionDestroy && s.ID == 1 {
					if s.Reason != ReasonLoss {
						t.Errorf("reason %v (%s), want %v", s.Reason, s.Why, ReasonLoss)
					}
					return
				}
			}
			t.Errorf("the lossy subflow was not dropped: %+v", plan)
		})
	}
}
