package pathstate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Unix(1_700_000_000, 0)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func seconds(n ...float64) (out []time.Duration) {
	for _, s := range n {
		out = append(out, time.Duration(s*float64(time.Second)))
	}
	return out
}

// fail notes trouble of something that began just now, and returns how long the path
// is left alone for.
func (s *State) fail(k Kind, now time.Time) time.Duration {
	s.Fail(k, "test", now, now)
	return s.Retry(now)
}

// TestBackoffGrows: each failure that comes when the path may be tried again doubles
// the delay, up to the longest.
func TestBackoffGrows(t *testing.T) {
	for _, tt := range []struct {
		kind Kind
		want []time.Duration
	}{
		{Reset, seconds(0.5, 1, 2, 4, 8, 8)},
		{Unreachable, seconds(1, 2, 4, 8, 8)},
		{Dark, seconds(2, 4, 8, 8)},
		{Lossy, seconds(3, 6, 12, 24, 48, 60, 60)},
		{JoinRefused, seconds(1, 2, 4, 8, 16, 32, 64, 120, 120)},
		{JoinUnanswered, seconds(2, 4, 8, 16, 32, 64, 120, 120)},
		{Overtaken, seconds(10, 20, 40, 80, 160, 320, 600, 600)},
		{Unreached, seconds(30, 60, 120, 240, 480, 600, 600)},
		{Stripped, seconds(30, 60, 120, 240, 480, 600, 600)},
		{Captive, seconds(30, 60, 120, 240, 480, 600, 600)},
	} {
		t.Run(tt.kind.String(), func(t *testing.T) {
			var s State
			now := start
			var got []time.Duration
			for range tt.want {
				d := s.fail(tt.kind, now)
				got = append(got, d)
				now = now.Add(d)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			_, longest := tt.kind.Backoff()
			for range 100 { // no overflow
				d := s.fail(tt.kind, now)
				if d != longest {
					t.Fatalf("delay %v", d)
				}
				now = now.Add(d)
			}
		})
	}
}

func TestEveryKindIsInTheTable(t *testing.T) {
	for _, k := range Kinds() {
		first, longest := k.Backoff()
		if k.String() == "" || first <= 0 || longest <= first {
			t.Errorf("%d: %q waits %v to %v", k, k, first, longest)
		}
		if !k.DisprovedBy(Requalified) && !k.DisprovedBy(Established) && !k.DisprovedBy(Authenticated) {
			t.Errorf("%v: nothing shows that it is over", k)
		}
	}
}

// TestWhatDisproves: what evidence ends is a property of the kind of trouble.
func TestWhatDisproves(t *testing.T) {
	for _, tt := range []struct {
		evidence string
		show     func(*State, time.Time)
		ends     []Kind // the back-off of these, after a first trouble
	}{
		{"a handshake", func(s *State, now time.Time) { s.ProbeAnswered(ms(20), now) }, []Kind{Unreachable, Dark, JoinUnanswered}},
		{"a row of handshakes", func(s *State, now time.Time) { s.Requalified(RequalifyProbes, ms(20), now) }, []Kind{Unreachable, Dark, Lossy}},
		{"a subflow", func(s *State, now time.Time) { s.Learn(Established, now) }, []Kind{Reset, Unreachable, Dark, JoinRefused, JoinUnanswered}},
		{"a leg", func(s *State, now time.Time) { s.Met(LegFine, "", now) }, []Kind{Reset, Unreachable, Dark, Overtaken, Unreached, Stripped, Captive}},
		{"a leg's handshake", func(s *State, now time.Time) { s.Met(LegConnected, "", now) }, []Kind{Overtaken, Unreached}},
	} {
		var got []Kind
		for _, k := range Kinds() {
			var s State
			s.fail(k, start)
			tt.show(&s, start.Add(ms(10)))
			if s.Retry(start.Add(ms(11))) == 0 {
				got = append(got, k)
			}
		}
		if diff := cmp.Diff(tt.ends, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.evidence, diff)
		}
	}
}

// TestOneAfterTheOther: connections find out later than the first one that the path
// failed, after its delay even; that makes the delay no longer.
func TestOneAfterTheOther(t *testing.T) {
	for _, tt := range []struct {
		name         string
		since, until time.Duration // of the second failure, from the first one
		want         time.Duration
	}{
		{"began before", -time.Hour, 2 * time.Second, 2 * time.Second},
		{"began after", time.Millisecond, 2 * time.Second, 4 * time.Second},
		{"began before, long ago", -time.Hour, steady, 4 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s State
			s.Fail(Dark, "test", start.Add(-time.Hour), start)
			now := start.Add(tt.until)
			s.Fail(Dark, "test", start.Add(tt.since), now)
			if got := s.Retry(now); got != tt.want {
				t.Errorf("delay %v, want %v", got, tt.want)
			}
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	var s State
	s.fail(Dark, start)
	for i := range 100 {
		if got, want := s.fail(Kind(i%int(Overtaken)), start.Add(ms(i))), 2*time.Second-ms(i); got != want {
			t.Fatalf("failure %d: %v, want %v", i, got, want)
		}
	}
	if k, trouble, _ := s.LeftAlone(start.Add(ms(100))); k != Dark || trouble.Failures != 1 {
		t.Errorf("%d failures of kind %v counted, want 1", trouble.Failures, k)
	}
}

// TestLegsAreHeardAlways: what a leg met says more than the silence that is known
// already, and no handshake disproves it.
func TestLegsAreHeardAlways(t *testing.T) {
	var s State
	s.fail(Dark, start)
	s.Met(LegForeignKey, "another key", start.Add(ms(1)))
	s.ProbeAnswered(ms(20), start.Add(ms(50)))
	k, trouble, ok := s.LeftAlone(start.Add(ms(100)))
	if !ok || k != Captive || trouble.Reason != "another key" {
		t.Errorf("left alone %t for %v: %+v", ok, k, trouble)
	}
}

// TestForgives: only a path that worked for long enough begins anew.
func TestForgives(t *testing.T) {
	for _, tt := range []struct {
		name string
		up   time.Duration
		next Kind
		want time.Duration
	}{
		{"fails again soon", steady - 1, Dark, 8 * time.Second},
		{"was steady", steady, Dark, 2 * time.Second},
		{"fails otherwise", steady - 1, Reset, ms(500)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s State
			now := start
			for range 2 {
				now = now.Add(s.fail(Dark, now))
			}
			if !s.Learn(Established, now) {
				t.Error("not said to be back")
			}
			if s.Learn(Established, now.Add(1)) {
				t.Error("said to be back twice")
			}
			if r := s.Retry(now); r != 0 {
				t.Errorf("left alone for %v although it works", r)
			}
			if got := s.fail(tt.next, now.Add(tt.up)); got != tt.want {
				t.Errorf("delay %v, want %v", got, tt.want)
			}
		})
	}
}

func TestTimeForgives(t *testing.T) {
	var s State
	now := start
	for range 3 {
		now = now.Add(s.fail(Captive, now))
	}
	if !s.Troubled(now.Add(forget - 1)) {
		t.Error("forgotten before its time")
	}
	if now = now.Add(forget); s.Troubled(now) {
		t.Error("held against the path for ever")
	}
	if got, want := s.fail(Captive, now), 30*time.Second; got != want {
		t.Errorf("delay %v, want %v", got, want)
	}
}

// TestOneTries: after a failure one connection tries, and the others wait for what it
// finds.
func TestOneTries(t *testing.T) {
	var s State
	s.Trying(start)
	if r := s.Retry(start); r != 0 {
		t.Errorf("a path that never failed is left alone for %v", r)
	}
	now := start.Add(s.fail(Reset, start))
	if r := s.Retry(now); r != 0 {
		t.Fatalf("left alone for %v after the delay", r)
	}
	s.Trying(now)
	if r := s.Retry(now.Add(time.Second)); r != TryTime-time.Second {
		t.Errorf("others wait for %v", r)
	}
	if r := s.Retry(now.Add(TryTime)); r != 0 {
		t.Errorf("others wait for %v when the attempt had its time", r)
	}
	if !s.Avoid(now.Add(TryTime-1)) || s.Avoid(now.Add(TryTime)) {
		t.Error("new connections do not wait as long")
	}
	s.Trying(now)
	s.Learn(Established, now.Add(1))
	if r := s.Retry(now.Add(1)); r != 0 || s.Avoid(now.Add(1)) {
		t.Errorf("others wait for %v after it came up", r)
	}
}

func TestRTT(t *testing.T) {
	var r RTT
	now := start
	for _, rtt := range []time.Duration{0, -1, 80, 0, 160} {
		r.Sample(rtt, now)
	}
	if r.Smoothed != 90 || r.Least != 80 || r.Var != 50 {
		t.Errorf("%+v, want 90ns ± 50ns, at least 80ns", r)
	}
	if r.Sample(200, now.Add(rttOld)); r.Smoothed != 200 || r.Least != 80 {
		t.Errorf("%+v after a long time, want 200ns", r)
	}
	if got := r.Lately(now.Add(rttOld + Lately)); got != 200 {
		t.Errorf("%v of late, want 200ns", got)
	}
	if got := r.Lately(now.Add(rttOld + Lately + 1)); got != 0 {
		t.Errorf("%v of late, though it is old", got)
	}
}

func TestRate(t *testing.T) {
	var r Rate
	for _, bytes := range []uint64{0, 500, 900, 700} {
		r.Saw(bytes, start)
	}
	if got := r.Lately(start.Add(Lately)); got != 900 {
		t.Errorf("%d bytes a second, want the most", got)
	}
	if got := r.Lately(start.Add(Lately + 1)); got != 0 {
		t.Errorf("%d bytes a second long ago", got)
	}
	if r.Saw(100, start.Add(Lately+1)); r.Bytes != 100 {
		t.Errorf("%d bytes a second take the place of nothing newer", r.Bytes)
	}
}
