package operation

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestGracefulStop: on the first SIGTERM a program listens no more, and ends
// when its connections have.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	for _, which := range scene.Ends {
		t.Run(which.Name, func(t *testing.T) {
			t.Parallel()
			p, d := askedToStop(t, which, scene.SomeMegabytes)
			listensNoMore(t, p, which.Port)
			d.Finish(t)
			if err := scene.Ended(t, p); err != nil {
				t.Errorf("exit status: %v", err)
			}
		})
	}
}

// TestPathsStayWhileDraining: a transfer that finishes during a graceful stop
// of the client goes on using both paths.
func TestPathsStayWhileDraining(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, rig.Config{Links: rig.DSLAndLTE(), EditClient: scene.With(`limits.drain_timeout = "1h"`)})
	const size = 12_000_000
	d := scene.StartDownload(t, r, scene.NewGate(t, size/4), size)
	d.Gate.Wait(t)
	terminate(t, r.ClientDaemon)
	listensNoMore(t, r.ClientDaemon, 1080)
	before := r.Links[1].Counters(netns.Downstream).DeliveredBytes
	d.Finish(t)
	if got := r.Links[1].Counters(netns.Downstream).DeliveredBytes - before; got < size/20 {
		t.Errorf("the second path carried %d bytes of the last %d", got, size*3/4)
	}
	if err := scene.Ended(t, r.ClientDaemon); err != nil {
		t.Errorf("exit status: %v", err)
	}
}

// listensNoMore waits until a running program has closed its listener.
func listensNoMore(t *testing.T, p *netns.Process, port uint16) {
	t.Helper()
	scene.Eventually(t, "listener", func() string {
		select {
		case <-p.Done():
			t.Fatalf("%s ended, although a transfer runs:\n%s", p.Name(), p.Output())
		default:
		}
		for _, s := range scene.InState(t, p, scene.StateListen) {
			if s.Local.Port() == port {
				return "is still there"
			}
		}
		return ""
	})
}

// TestSecondSignal: ends at once what the first one let finish.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	for _, which := range scene.Ends {
		t.Run(which.Name, func(t *testing.T) {
			t.Parallel()
			p, d := askedToStop(t, which, manyMegabytes)
			scene.Saw(t, p, "waiting for connections to end")
			terminate(t, p)
			if err := scene.Ended(t, p); err != nil {
				t.Errorf("exit status: %v", err)
			}
			cutOff(t, d)
		})
	}
}

// TestDrainTimeout: connections that do not end are ended.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	for _, which := range scene.Ends {
		for _, timeout := range []string{`"300ms"`, `"0"`} {
			t.Run(which.Name+" "+timeout, func(t *testing.T) {
				t.Parallel()
				r := scene.Start(t, which.Config(timeout))
				c := scene.Through(t, r, "dest.example", 7)
				scene.Echo(t, c)
				p := which.Process(r)
				terminate(t, p)
				if err := scene.Ended(t, p); err != nil {
					t.Errorf("exit status: %v", err)
				}
				scene.Saw(t, p, "ending connections that are still open")
				if _, err := c.Read(make([]byte, 1)); err == nil || scene.IsTimeout(err) {
					t.Errorf("the connection is still open: %v", err)
				}
			})
		}
	}
}

// manyMegabytes do not fit into all the buffers on the way, of which the application's
// alone may grow to net.ipv4.tcp_rmem's 32 MiB: a download that stands still is not over.
const manyMegabytes = 100_000_000

// askedToStop returns a program that got its first SIGTERM early in a download of so
// many bytes, which it has an hour to let finish.
func askedToStop(t *testing.T, which scene.End, size int64) (*netns.Process, *scene.Download) {
	t.Helper()
	r := scene.Start(t, which.Config(`"1h"`))
	d := scene.StartDownload(t, r, scene.NewGate(t, scene.SomeMegabytes/2), size)
	d.Gate.Wait(t)
	p := which.Process(r)
	terminate(t, p)
	return p, d
}

func terminate(t *testing.T, p *netns.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// cutOff wants curl to notice that the transfer was not complete.
func cutOff(t *testing.T, d *scene.Download) {
	t.Helper()
	var exit *exec.ExitError
	if err := d.End(t); !errors.As(err, &exit) {
		t.Errorf("curl did not notice that it was cut off: %v", err)
	}
	if d.Sink.N >= d.Size {
		t.Error("the whole content arrived although it was cut off")
	}
}
