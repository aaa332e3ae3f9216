package scenarios

import (
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

// TestGracefulStop: on the first SIGTERM a program listens no more, and ends
// when its connections have.
func TestGracefulStop(t *testing.T) {
	for _, which := range programs {
		t.Run(which.name, func(t *testing.T) {
			r := start(t, which.config(`"1h"`))
			d := startDownload(t, r, newGate(t, someMegabytes/2), someMegabytes)
			d.gate.wait(t)
			p := which.process(r)
			terminate(t, p)
			listensNoMore(t, p, which.port)
			d.finish(t)
			if err := ended(t, p); err != nil {
				t.Errorf("exit status: %v", err)
			}
		})
	}
}

// TestPathsStayWhileDraining: a transfer that finishes during a graceful stop
// of the client goes on using both paths.
func TestPathsStayWhileDraining(t *testing.T) {
	r := start(t, rig.Config{Links: rig.DSLAndLTE(), EditClient: with(`limits.drain_timeout = "1h"`)})
	const size = 12_000_000
	d := startDownload(t, r, newGate(t, size/4), size)
	d.gate.wait(t)
	terminate(t, r.ClientDaemon)
	listensNoMore(t, r.ClientDaemon, 1080)
	before := r.Links[1].Counters(netns.Downstream).DeliveredBytes
	d.finish(t)
	if got := r.Links[1].Counters(netns.Downstream).DeliveredBytes - before; got < size/20 {
		t.Errorf("the second path carried %d bytes of the last %d", got, size*3/4)
	}
	if err := ended(t, r.ClientDaemon); err != nil {
		t.Errorf("exit status: %v", err)
	}
}

// listensNoMore waits until a running program has closed its listener.
func listensNoMore(t *testing.T, p *netns.Process, port uint16) {
	t.Helper()
	eventually(t, "listener", func() string {
		select {
		case <-p.Done():
			t.Fatalf("%s ended, although a transfer runs:\n%s", p.Name(), p.Output())
		default:
		}
		for _, s := range inState(t, p, stateListen) {
			if s.local.Port() == port {
				return "is still there"
			}
		}
		return ""
	})
}
