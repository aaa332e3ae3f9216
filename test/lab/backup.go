package main

import (
	"context"
	"errors"
	"fmt"
	"image/color"
	"time"

	"mpproxy/test/netns/capture"
)

// SMAPP section 4.2: an upload begins on one path, the other is a backup. After
// a second the first loses 30 % of its frames.
var backupExperiment = experiment{
	name: "backup", title: "§4.2 smarter backup: 2 × 5 Mbit/s, 30 % loss on the first from t = 1 s",
	takes: 2 * time.Minute, run: backup,
}

const (
	backupLossAt = time.Second
	backupLoss   = 0.30
	backupSettle = 2 * time.Second // after the loss begins
	backupSpan   = 12 * time.Second
	backupRuns   = 10
	backupWidth  = 8 // 5 Mbit/s each
)

// paperThreshold is SMAPP's rule alone: close a subflow when its timer has
// passed a second. What else makes handover move is switched off.
const paperThreshold = `[modes.smapp]
base = "handover"
rto_threshold = "1s"
stall_timeout = "1m"
loss_threshold = 1.0
`

// backed is what one run came to.
type backed struct {
	goodput float64  // Mbit/s from backupSettle after the loss until the end
	firstS  float64  // seconds from the loss to the first data on the other path; none: never
	late    float64  // seconds from the RTO passing 1 s to the request for the other path; none: never
	rto     float64  // seconds; the timer when it had passed; none: it did not
	trace   []upward // of the data sent
}

var backupColors = []color.Color{orange, sky, blue, grey}

func backup(ctx context.Context, l *lab) (result, error) {
	standby := []string{"--path", "wifi0", "--path", "lte0:metered"}
	arms := []arm{
		{label: "stock backup flag", manager: "kernel", mode: "aggregate", client: standby},
		{label: "SMAPP's threshold", manager: "userspace", mode: "smapp", client: standby, modes: paperThreshold},
		{label: "mpproxy handover", manager: "userspace", mode: "handover", client: standby},
		{label: "healthy path alone", manager: "userspace", mode: "single", client: standby},
	}
	var cases tally[backed]
	var jobs []job
	for n := range l.count(backupRuns) {
		for k, a := range arms {
			if !l.wants(a.label) {
				continue
			}
			loss := backupLoss
			if k == 3 {
				loss = 0
			}
			jobs = append(jobs, func(ctx context.Context) error {
				b, err := backupRun(ctx, l, a, loss, uint64(n))
				if err != nil {
					return fmt.Errorf("%s: %w", a.label, err)
				}
				cases.add(a.label, b)
				return nil
			})
		}
	}
	if err := l.batch(ctx, backupWidth, jobs); err != nil {
		return result{}, err
	}
	return backupResult(arms, &cases), nil
}

func backupRun(ctx context.Context, l *lab, a arm, loss float64, seed uint64) (b backed, err error) {
	r, err := l.rig(ctx, a.config(slow(seed)...))
	if err != nil {
		return b, err
	}
	defer r.Close()
	segments, err := capture.Record(ctx, r.Client, capture.Options{}, ofLegs)
	if err != nil {
		return b, err
	}
	f, err := openFlow(ctx, r, a.mode)
	if err != nil {
		return b, err
	}
	defer f.close()
	subflows, err := f.subflows(ctx, r)
	if err != nil {
		return b, err
	}
	begun := time.Now()
	timer := watchRTO(ctx, r, r.Links[0].Client4)
	sent := make(chan struct{})
	go pump(f.near, sent)
	arrived := make(chan arrivals, 1)
	go count(f.far, begun, arrived)

	time.Sleep(backupLossAt)
	lossAt := time.Now()
	if err := lose(r.Links[0], loss); err != nil {
		return b, err
	}
	time.Sleep(backupSettle + backupSpan)
	f.close()
	<-sent
	got := <-arrived
	b.goodput = got.rate(lossAt.Sub(begun)+backupSettle, lossAt.Sub(begun)+backupSettle+backupSpan) / 1e6
	all, err := segments.Stop()
	if err != nil {
		return b, err
	}
	rto := timer.stop()
	own, ok := findLeg(all, subflows)
	if !ok {
		return b, errors.New("the capture does not have the connection's beginning")
	}
	b.trace = own.upload(all, begun, r.Links)
	b.judge(own.joins(all), lossAt, begun, rto)
	return b, rto.err
}

// judge finds the moments that matter.
func (b *backed) judge(joins []capture.Segment, lossAt, begun time.Time, rto rtoTrace) {
	b.firstS, b.late, b.rto = none, none, none
	for _, p := range b.trace {
		if p.path == 1 {
			b.firstS = p.at - lossAt.Sub(begun).Seconds()
			break
		}
	}
	crossed, value, ok := rto.passed(time.Second, lossAt)
	if !ok {
		return
	}
	b.rto = value.Seconds()
	for _, s := range joins {
		if s.At.After(lossAt) {
			b.late = s.At.Sub(crossed).Seconds()
			return
		}
	}
}
