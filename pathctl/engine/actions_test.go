package engine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
	"mpproxy/pathctl/reason"
)

func TestChanges(t *testing.T) {
	sub := func(id policy.SubflowID, path string, edit func(*policy.Subflow)) policy.Subflow {
		f := policy.Subflow{ID: id, Path: path, Established: true}
		if edit != nil {
			edit(&f)
		}
		return f
	}
	dsl, lte := sub(1, "dsl0", nil), sub(2, "lte0", func(f *policy.Subflow) { f.Backup = true })
	conn := func(fs ...policy.Subflow) policy.Conn { return policy.Conn{Age: time.Minute, Subflows: fs} }
	why := func(class reason.Class, text string) reason.Reason { return reason.Reason{Class: class, Text: text} }
	for _, tt := range []struct {
		name string
		conn policy.Conn
		plan policy.Plan
		want []Change
	}{
		{name: "nothing changes", conn: conn(dsl, lte), plan: policy.Plan{Keep: []policy.Keep{{ID: 1}, {ID: 2, Backup: true}}}},
		{
			name: "as the mode wants", conn: conn(dsl),
			plan: policy.Plan{Create: []policy.Create{{Path: "lte0", Backup: true, Reason: why(reason.ClassMode, "standby")}}},
			want: []Change{{Action: ActionCreate, Path: "lte0", Backup: true, Reason: why(reason.ClassMode, "standby")}},
		},
		{
			name: "failover", conn: conn(sub(1, "dsl0", nil), lte),
			plan: policy.Plan{
				Drop: []policy.Drop{{ID: 1, Path: "dsl0", Cause: policy.Failed, Reason: why(reason.ClassTimeout, "silent")}},
				Keep: []policy.Keep{{ID: 2, Reason: why(reason.ClassFailover, "takes over")}},
			},
			want: []Change{
				{Action: ActionDestroy, ID: 1, Path: "dsl0", Cause: policy.Failed, Reason: why(reason.ClassTimeout, "silent")},
				{Action: ActionUse, ID: 2, Path: "lte0", Reason: why(reason.ClassFailover, "takes over")},
			},
		},
		{
			name: "what is too much goes last", conn: conn(dsl, lte, sub(3, "usb0", nil)),
			plan: policy.Plan{
				Create: []policy.Create{{Path: "wlan0"}},
				Keep:   []policy.Keep{{ID: 2}},
				Drop:   []policy.Drop{{ID: 3, Path: "usb0", Cause: policy.Unneeded}, {ID: 1, Path: "dsl0", Cause: policy.PathDown}},
			},
			want: []Change{
				{Action: ActionDestroy, ID: 1, Path: "dsl0", Cause: policy.PathDown},
				{Action: ActionCreate, Path: "wlan0"},
				{Action: ActionUse, ID: 2, Path: "lte0"},
				{Action: ActionDestroy, ID: 3, Path: "usb0", Cause: policy.Unneeded},
			},
		},
		{
			name: "no priority before it is established", conn: conn(sub(1, "dsl0", func(f *policy.Subflow) { f.Established = false })),
			plan: policy.Plan{Keep: []policy.Keep{{ID: 1, Backup: true}, {ID: 99, Backup: true}}},
			want: []Change{},
		},
		{
			name: "drops", conn: conn(sub(1, "dsl0", nil), sub(2, "lte0", func(f *policy.Subflow) { f.Established = false })),
			plan: policy.Plan{Drop: []policy.Drop{
				{ID: 1, Path: "dsl0"},
				{ID: 2, Path: "lte0"},
				{ID: 3, Path: "a", Cause: policy.PathDown},
				{ID: 4, Path: "b", Cause: policy.Unneeded},
				{ID: 5, Path: "c", Cause: policy.Replaced},
			}},
			want: []Change{
				{Action: ActionDestroy, ID: 1, Path: "dsl0"},
				{Action: ActionDestroy, ID: 2, Path: "lte0"},
				{Action: ActionDestroy, ID: 3, Path: "a", Cause: policy.PathDown},
				{Action: ActionDestroy, ID: 4, Path: "b", Cause: policy.Unneeded},
				{Action: ActionDestroy, ID: 5, Path: "c", Cause: policy.Replaced},
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Changes(tt.conn, tt.plan)
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
func TestChangesOfLossySubflow(t *testing.T) {
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
			plan, _ := policy.Decide(conn, paths, memory)
			for _, s := range Changes(conn, plan) {
				if s.Action == ActionDestroy && s.ID == 1 {
					if s.Reason.Class != reason.ClassLoss {
						t.Errorf("class %v (%s), want %v", s.Reason.Class, s.Reason, reason.ClassLoss)
					}
					return
				}
			}
			t.Errorf("the lossy subflow was not dropped: %+v", plan)
		})
	}
}
