package engine

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"mpproxy/pathctl/policy"
)

func TestProbing(t *testing.T) {
	var p probing
	if !p.due(start, probeGap) {
		t.Error("the first probe is not due")
	}
	p.leaves(start)
	if p.due(start.Add(probeGap-1), probeGap) {
		t.Error("the second is due at once")
	}
	if silent, answered := p.view(start.Add(time.Second)); silent != 0 || answered != 0 {
		t.Errorf("one probe: silent for %v, answered %v ago; want 0, 0", silent, answered)
	}
	p.leaves(start.Add(ms(100)))
	if silent, _ := p.view(start.Add(ms(150))); silent != ms(150) {
		t.Errorf("two probes: silent for %v, want 150ms", silent)
	}
	p.leaves(start.Add(ms(200)))
	if p.due(start.Add(time.Hour), probeGap) {
		t.Error("a fourth one is due while three are under way")
	}
	p.disprove(start.Add(-1))
	if silent, _ := p.view(start.Add(ms(300))); silent != ms(300) {
		t.Errorf("earlier progress: silent for %v, want 300ms", silent)
	}
	p.disprove(start.Add(ms(250)))
	if silent, _ := p.view(start.Add(ms(300))); silent != 0 {
		t.Errorf("progress since: silent for %v", silent)
	}
	p.leaves(start.Add(ms(400)))
	p.leaves(start.Add(ms(500)))
	p.answered(start.Add(ms(600)))
	if silent, answered := p.view(start.Add(ms(700))); silent != 0 || answered != ms(100) {
		t.Errorf("answered: silent for %v, answered %v ago; want 0, 100ms", silent, answered)
	}
}

// askedFor is a prober that tells what it was asked for.
type askedFor struct {
	asked chan string
	err   error
}

func (a askedFor) probe(_ context.Context, iface string, local netip.Addr, remote netip.AddrPort) (time.Duration, error) {
	a.asked <- iface + " " + local.String() + " " + remote.String()
	return ms(33), a.err
}

func TestProbeOfADoubtedPath(t *testing.T) {
	b := newBench(t, policy.Client)
	c, _ := b.steered(t, policy.Handover)
	p := askedFor{asked: make(chan string, 9)}
	b.prober = p
	for range 2 { // the second within probeGap
		b.probe(t.Context(), c, []string{"lte0", "no such path"}, b.now)
	}
	b.probes.Wait()
	if got, want := <-p.asked, "lte0 10.0.1.1 192.0.2.1:443"; got != want || len(p.asked) > 0 {
		t.Errorf("asked %q and %d more, want %q", got, len(p.asked), want)
	}
	(<-b.inbox)(b.now.Add(ms(40)))
	if h := b.healthOf("lte0"); h.rtt != ms(33) || h.probing.underWay != 0 || h.probing.unanswered != 0 {
		t.Errorf("after the answer: %+v", h)
	}
}

// TestProbeEndsABackOff: a path that answers again is used at once, one that does
// not is not joined before the next probe.
func TestProbeEndsABackOff(t *testing.T) {
	for _, tt := range []struct {
		name string
		last failure
		err  error
		want time.Duration // until it may be joined; the outcome comes after probeWait
		asks bool
	}{
		{"answers", failedTimeout, nil, probeWait, true},
		{"silent", failedTimeout, errors.New("no answer"), probeWait + seekGap + probeWait, true},
		{"poor: an answer says nothing", failedPoor, nil, firstRetry[failedPoor], false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			c, _ := b.steered(t, policy.Handover)
			p := askedFor{asked: make(chan string, 9), err: tt.err}
			b.prober = p
			h := b.healthOf("lte0")
			h.fail(tt.last, b.now, b.now)
			b.probe(t.Context(), c, nil, b.now)
			b.probes.Wait()
			if asks := len(p.asked) > 0; asks != tt.asks {
				t.Fatalf("asks %t, want %t", asks, tt.asks)
			}
			if tt.asks {
				(<-b.inbox)(b.now.Add(probeWait))
			}
			if got := h.retry(b.now); got != tt.want {
				t.Errorf("left alone for %v, want %v", got, tt.want)
			}
		})
	}
}

func TestHandshakeProbe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := l.Addr().(*net.TCPAddr).AddrPort()
	probe := func() (time.Duration, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return handshake{}.probe(ctx, "lo", netip.MustParseAddr("127.0.0.1"), to)
	}
	if rtt, err := probe(); err != nil || rtt <= 0 {
		t.Errorf("a listener: %v, %v", rtt, err)
	}
	l.Close()
	if rtt, err := probe(); err != nil || rtt <= 0 {
		t.Errorf("a refusal is an answer, too: %v, %v", rtt, err)
	}
	if _, err := (handshake{}).probe(t.Context(), "no such interface", to.Addr(), to); err == nil {
		t.Error("an interface that does not exist: no error")
	}
}
