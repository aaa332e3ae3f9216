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

// TestSecondSignal: ends at once what the first one let finish.
func TestSecondSignal(t *testing.T) {
	for _, which := range programs {
		t.Run(which.name, func(t *testing.T) {
			r := start(t, which.config(`"1h"`))
			d := startDownload(t, r, newGate(t, someMegabytes/2), someMegabytes)
			d.gate.wait(t)
			p := which.process(r)
			terminate(t, p)
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
	for _, which := range programs {
		for _, timeout := range []string{`"300ms"`, `"0"`} {
			t.Run(which.name+" "+timeout, func(t *testing.T) {
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

// programs are both of them, with what the scenarios need.
var programs = []struct {
	name    string
	port    uint16
	config  func(drain string) rig.Config
	process func(*rig.Rig) *netns.Process
}{
	{"client", 1080, func(drain string) rig.Config {
		return rig.Config{Links: clientLinks(), EditClient: with("limits.drain_timeout = " + drain)}
	}, func(r *rig.Rig) *netns.Process { return r.ClientDaemon }},
	{"concentrator", rig.Port, func(drain string) rig.Config {
		return rig.Config{Links: clientLinks(), EditServer: with("limits.drain_timeout = " + drain)}
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
