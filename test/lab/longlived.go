package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"mpproxy/test/netns/link"
	"mpproxy/test/netns/measure"
	"mpproxy/test/netns/rig"
)

// SMAPP section 4.1: a connection that says something once in a while, behind
// middleboxes that forget what is idle, on each path in turn.
var longlivedExperiment = experiment{
	name: "longlived", title: "§4.1 long-lived connections behind middleboxes that forget idle state",
	takes: 4 * time.Minute, run: longlived,
}

const (
	longRuns  = 10
	longWidth = 20 // they are idle
	longWords = 400
	// longIdle is after how long a middlebox forgets, and longPause how long the
	// application is silent.
	longIdle  = 20 * time.Second
	longPause = 50 * time.Second
	longTick  = time.Second
	// longAfter is how long subflows have after the last answer to come back:
	// less than longIdle, after which new ones would be forgotten, too.
	longAfter = 12 * time.Second
	// longPatience is how long the application waits for an answer.
	longPatience = 30 * time.Second
)

// longPhase is one silence, and what the middleboxes of the first and the second
// path do meanwhile.
type longPhase struct {
	name  string
	boxes [2]link.Middlebox
}

var longPhases = []longPhase{
	{"the first path drops what it forgot", [2]link.Middlebox{{Idle: longIdle}, {}}},
	{"the second path resets what it forgot", [2]link.Middlebox{{}, {Idle: longIdle, Reset: true}}},
	{"both paths drop what they forgot", [2]link.Middlebox{{Idle: longIdle}, {Idle: longIdle}}},
}

// lived is what one run came to.
type lived struct {
	answers [3]float64 // ms after each silence; none: no answer in time
	working [][2]bool  // each longTick: whether a path has a subflow that would get through
	ended   bool       // the connection did not survive
}

func longlived(ctx context.Context, l *lab) (result, error) {
	arms := []arm{stockFullMesh, ours("aggregate")}
	var cases tally[lived]
	var jobs []job
	for n := range l.count(longRuns) {
		for _, a := range arms {
			if !l.wants(a.label) {
				continue
			}
			jobs = append(jobs, func(ctx context.Context) error {
				v, err := liveRun(ctx, l, a, uint64(n))
				if err != nil {
					return fmt.Errorf("%s: %w", a.label, err)
				}
				cases.add(a.label, v)
				return nil
			})
		}
	}
	if err := l.batch(ctx, longWidth, jobs); err != nil {
		return result{}, err
	}
	return longResult(arms, &cases), nil
}

func liveRun(ctx context.Context, l *lab, a arm, seed uint64) (v lived, err error) {
	r, err := l.rig(ctx, a.config(slow(seed)...))
	if err != nil {
		return v, err
	}
	defer r.Close()
	if err := setBoxes(r, [2]link.Middlebox{}); err != nil {
		return v, err
	}
	f, err := openFlow(ctx, r, a.mode)
	if err != nil {
		return v, err
	}
	defer f.close()
	go echo(f.far)
	if _, err := exchange(f); err != nil {
		return v, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	working := make(chan [][2]bool, 1)
	go watchPaths(ctx, r, working)
	v.answers = [3]float64{none, none, none}
	for i, phase := range longPhases {
		if err := setBoxes(r, phase.boxes); err != nil {
			return v, err
		}
		time.Sleep(longPause)
		took, err := exchange(f)
		switch {
		case err == nil:
			v.answers[i] = measure.Millis(took)
		case errors.Is(err, os.ErrDeadlineExceeded):
		default:
			v.ended = true
		}
		if err != nil {
			break // what comes later would answer the earlier question
		}
	}
	time.Sleep(longAfter)
	cancel()
	v.working = <-working
	return v, nil
}

func setBoxes(r *rig.Rig, boxes [2]link.Middlebox) error {
	return errors.Join(r.Links[0].SetMiddlebox(boxes[0]), r.Links[1].SetMiddlebox(boxes[1]))
}

// echo sends back what it gets; it is a goroutine's.
func echo(c io.ReadWriter) { _, _ = io.Copy(struct{ io.Writer }{c}, c) }

// exchange says something and waits for the answer.
func exchange(f flow) (time.Duration, error) {
	begun := time.Now()
	_ = f.near.SetDeadline(begun.Add(longPatience))
	words := make([]byte, longWords)
	if _, err := f.near.Write(words); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(f.near, words)
	return time.Since(begun), err
}
