package engine

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"mpproxy/pathctl/pathstate"
	"mpproxy/pathctl/policy"
	"mpproxy/pathctl/policy/mode"
)

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
	c, _ := b.steered(t, mode.Handover)
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
	if h := b.stateOf("lte0"); h.RTT.Smoothed != ms(33) || h.Handshakes.Unanswered() != 0 {
		t.Errorf("after the answer: %+v", h)
	}
}

// TestProbeEndsABackOff: a path that answers again is used at once, one that does
// not is not joined before the next probe.
func TestProbeEndsABackOff(t *testing.T) {
	for _, tt := range []struct {
		name string
		last pathstate.Kind
		err  error
		want time.Duration // until it may be joined; the outcome comes after pathstate.ProbeWait
		asks bool
	}{
		{"answers", pathstate.Dark, nil, pathstate.ProbeWait, true},
		{"silent", pathstate.Dark, errors.New("no answer"), pathstate.ProbeWait + pathstate.SeekGap + pathstate.ProbeWait, true},
		{"poor: an answer says nothing", pathstate.Lossy, nil, firstWait(pathstate.Lossy), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, policy.Client)
			c, _ := b.steered(t, mode.Handover)
			p := askedFor{asked: make(chan string, 9), err: tt.err}
			b.prober = p
			h := b.stateOf("lte0")
			h.Fail(tt.last, "test", b.now, b.now)
			b.probe(t.Context(), c, nil, b.now)
			b.probes.Wait()
			if asks := len(p.asked) > 0; asks != tt.asks {
				t.Fatalf("asks %t, want %t", asks, tt.asks)
			}
			if tt.asks {
				(<-b.inbox)(b.now.Add(pathstate.ProbeWait))
			}
			if got := h.Retry(b.now); got != tt.want {
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
