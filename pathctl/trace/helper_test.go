package trace

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mpproxy/mptcpsock/uapi"
	"mpproxy/pathctl/engine"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token uapi.Token = 0xabcd

var began = time.Date(2026, 1, 31, 12, 0, 0, 123456789, time.UTC)

// story is a connection in the mode handover whose first path goes silent: what
// an engine would have recorded, memory and outcomes included.
func story() []engine.Look {
	paths := []policy.Path{
		{Name: "dsl0", Rank: 1, Up: true, UpFor: time.Hour},
		{Name: "lte0", Rank: 2, Up: true, UpFor: time.Hour},
	}
	conn := policy.Conn{Mode: mode.Handover, Params: policy.DefaultParams(mode.Handover)}
	dsl := policy.Subflow{ID: 1, Path: "dsl0", Initial: true, Established: true, RTT: 20 * time.Millisecond, RTO: 220 * time.Millisecond, Busy: true, Unacked: 20}
	lte := policy.Subflow{ID: 2, Path: "lte0", Established: true, Backup: true, RTT: 50 * time.Millisecond, RTO: 250 * time.Millisecond}
	silent := dsl
	silent.Stalled, silent.Timeouts, silent.Backoff = 300*time.Millisecond, 2, 2
	taken := lte
	taken.Backup = false

	var looks []engine.Look
	var m policy.Memory
	for i, subflows := range [][]policy.Subflow{{dsl}, {dsl, lte}, {dsl, lte}, {silent, lte}, {taken}} {
		conn.Age = time.Duration(i+1) * 100 * time.Millisecond
		conn.Subflows, conn.Sent = subflows, uint64(i)<<40
		l := engine.Look{
			When: began.Add(conn.Age), Token: token, Destination: "dest.example:80", Mode: "handover", Rule: "rule 1", Number: uint64(i + 1),
			Conn: conn, Paths: paths, Memory: m,
		}
		l.Plan, m = policy.Decide(conn, paths, m)
		for _, s := range engine.Changes(conn, l.Plan) {
			d := decisionOf(l, s)
			d.When = d.When.Add(time.Millisecond)
			l.Outcomes = append(l.Outcomes, &d)
		}
		looks = append(looks, l)
	}
	return looks
}

// decisions are those of looks.
func decisions(looks []engine.Look) (all []engine.Decision) {
	for _, l := range looks {
		for _, o := range l.Outcomes {
			if o != nil {
				all = append(all, *o)
			}
		}
	}
	return all
}

// record writes a trace of what f hands to the recorder, and returns its file.
func record(t testing.TB, cfg Config, f func(*Recorder)) string {
	t.Helper()
	cfg.Path = filepath.Join(t.TempDir(), "trace")
	r, err := Create(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go run(ctx, r, ended)
	f(r)
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return cfg.Path
}

func run(ctx context.Context, r *Recorder, ended chan<- error) { ended <- r.Run(ctx) }

// recorded returns the text of a trace of looks.
func recorded(t testing.TB, looks ...engine.Look) []byte {
	t.Helper()
	path := record(t, Config{Program: "test"}, func(r *Recorder) {
		for _, l := range looks {
			r.Looked(l)
		}
	})
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
