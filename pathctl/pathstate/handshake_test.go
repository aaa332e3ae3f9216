package pathstate

import (
	"testing"
	"time"
)

func TestHandshakes(t *testing.T) {
	const gap = 60 * time.Millisecond
	var s State
	h := &s.Handshakes
	if !h.Due(gap, start) {
		t.Error("the first probe is not due")
	}
	h.Leaves(start)
	if h.Due(gap, start.Add(gap-1)) {
		t.Error("the second is due at once")
	}
	if silent, answered := h.Silent(start.Add(time.Second)), h.Answered(start.Add(time.Second)); silent != 0 || answered != 0 {
		t.Errorf("one probe: silent for %v, answered %v ago; want 0, 0", silent, answered)
	}
	h.Leaves(start.Add(ms(100)))
	if silent := h.Silent(start.Add(ms(150))); silent != ms(150) {
		t.Errorf("two probes: silent for %v, want 150ms", silent)
	}
	h.Leaves(start.Add(ms(200)))
	if h.Due(gap, start.Add(time.Hour)) {
		t.Error("a fourth one is due while three are under way")
	}
	h.disprove(start.Add(-1))
	if silent := h.Silent(start.Add(ms(300))); silent != ms(300) {
		t.Errorf("earlier progress: silent for %v, want 300ms", silent)
	}
	h.disprove(start.Add(ms(250)))
	if silent := h.Silent(start.Add(ms(300))); silent != 0 {
		t.Errorf("progress since: silent for %v", silent)
	}
	h.Leaves(start.Add(ms(400)))
	h.Leaves(start.Add(ms(500)))
	s.ProbeAnswered(ms(20), start.Add(ms(600)))
	if silent, answered := h.Silent(start.Add(ms(700))), h.Answered(start.Add(ms(700))); silent != 0 || answered != ms(100) {
		t.Errorf("answered: silent for %v, answered %v ago; want 0, 100ms", silent, answered)
	}
}

// TestUnproven: a path that answers no probes at all is joined in the end, and one
// that could not be joined has nothing to prove.
func TestUnproven(t *testing.T) {
	var s State
	s.fail(Lossy, start)
	if at := start.Add(seekTrust); s.Unproven(at) {
		t.Error("waits for an answer for ever")
	}
	s.Requalified(1, 0, start.Add(time.Second))
	if at := start.Add(forget); !s.Unproven(at) {
		t.Error("probes are answered, and the path is joined without having requalified")
	}
	s.Learn(Established, start.Add(time.Second))
	if !s.Unproven(start.Add(time.Second)) {
		t.Error("a subflow that joins proves nothing of what the path loses")
	}
	s.Requalified(RequalifyProbes, ms(20), start.Add(2*time.Second))
	if s.Unproven(start.Add(2 * time.Second)) {
		t.Error("requalified, and not proven")
	}
	s = State{}
	s.fail(Dark, start)
	if s.Unproven(start) {
		t.Error("a path that is dark is to requalify")
	}
	s.ProbeAnswered(ms(20), start.Add(ms(50)))
	if !s.Unproven(start.Add(ms(50))) || s.Retry(start.Add(ms(50))) != 0 {
		t.Error("a path that seemed dark is not to requalify at once")
	}
}

// TestAnswersDoNotLoop: a path whose handshakes are answered all the while, and on which
// nothing else works, is tried ever more seldom.
func TestAnswersDoNotLoop(t *testing.T) {
	for _, k := range []Kind{Dark, Unreachable, JoinUnanswered} {
		var s State
		now, tries := start, 0
		for until := start.Add(time.Minute); now.Before(until); now = now.Add(ms(10)) {
			if s.Sought(now) {
				s.ProbeAnswered(ms(20), now)
			}
			if s.Retry(now) == 0 && s.Unproven(now) {
				s.Requalified(RequalifyProbes, ms(20), now)
			}
			if s.Retry(now) == 0 {
				tries++
				s.Fail(k, "it fails all the same", now, now.Add(ms(1)))
			}
		}
		if tries > 12 {
			t.Errorf("%v: tried %d times in a minute", k, tries)
		}
	}
}

// TestAnswerAfterSilence: a path that was dark and answers again is tried at once,
// however often it has failed.
func TestAnswerAfterSilence(t *testing.T) {
	var s State
	now := start
	for range 4 {
		now = now.Add(s.fail(Dark, now))
	}
	s.fail(Dark, now)
	s.Handshakes.Leaves(now.Add(ms(60)))
	s.ProbeMissed(now.Add(ms(960)))
	if !s.Sought(now.Add(ms(960))) {
		t.Error("not asked for any more")
	}
	if !s.ProbeAnswered(ms(20), now.Add(ms(2000))) || s.Retry(now.Add(ms(2000))) != 0 {
		t.Errorf("left alone for %v after an answer", s.Retry(now.Add(ms(2000))))
	}
}
