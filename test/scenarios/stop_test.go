package scenarios

import (
	"errors"
	"net"
	"os/exec"
	"syscall"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

// TestGracefulStop: on the first SIGTERM a program listens no more, and ends
// when its connections have.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	for _, which := range programs {
		t.Run(which.name, func(t *testing.T) {
			t.Parallel()
			p, d := askedToStop(t, which, someMegabytes)
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
	t.Parallel()
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

// TestSecondSignal: ends at once what the first one let finish.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	for _, which := range programs {
		t.Run(which.name, func(t *testing.T) {
			t.Parallel()
			p, d := askedToStop(t, which, manyMegabytes)
			saw(t, p, "waiting for connections to end")
			terminate(t, p)
			if err := ended(t, p); err != nil {
				t.Errorf("exit status: %v", err)
			}
			cutOff(t, d)
		})
	}
}

// TestDrainTimeout: connections that do not end are ended.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	for _, which := range programs {
		for _, timeout := range []string{`"300ms"`, `"0"`} {
			t.Run(which.name+" "+timeout, func(t *testing.T) {
				t.Parallel()
				r := start(t, which.config(timeout))
				c := through(t, r, "dest.example", 7)
				echo(t, c)
				p := which.process(r)
				terminate(t, p)
				if err := ended(t, p); err != nil {
					t.Errorf("exit status: %v", err)
				}
				saw(t, p, "ending connections that are still open")
				if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
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
func askedToStop(t *testing.T, which stoppable, size int64) (*netns.Process, *download) {
	t.Helper()
	r := start(t, which.config(`"1h"`))
	d := startDownload(t, r, newGate(t, someMegabytes/2), size)
	d.gate.wait(t)
	p := which.process(r)
	terminate(t, p)
	return p, d
}

// stoppable is one of both programs, with what the scenarios need.
type stoppable struct {
	name    string
	port    uint16
	config  func(drain string) rig.Config
	process func(*rig.Rig) *netns.Process
}

// roomyLinks drop nothing: nobody sends a reset again that met a full queue on each
// link, and a peer that only receives notices by keep-alive, minutes later.
func roomyLinks() []netns.LinkConfig {
	links := clientLinks()
	for i := range links {
		links[i].Queue = 64 << 20
	}
	return links
}

var programs = []stoppable{
	{"client", 1080, func(drain string) rig.Config {
		return rig.Config{Links: roomyLinks(), EditClient: with("limits.drain_timeout = " + drain)}
	}, func(r *rig.Rig) *netns.Process { return r.ClientDaemon }},
	{"concentrator", rig.Port, func(drain string) rig.Config {
		return rig.Config{Links: roomyLinks(), EditServer: with("limits.drain_timeout = " + drain)}
	}, func(r *rig.Rig) *netns.Process { return r.Server }},
}

func terminate(t *testing.T, p *netns.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// cutOff wants curl to notice that the transfer was not complete.
func cutOff(t *testing.T, d *download) {
	t.Helper()
	var exit *exec.ExitError
	if err := d.end(t); !errors.As(err, &exit) {
		t.Errorf("curl did not notice that it was cut off: %v", err)
	}
	if d.sink.n >= d.size {
		t.Error("the whole content arrived although it was cut off")
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
