package networks

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestEndedWithoutWord: the concentrator ends a connection while all paths are dark, so
// that the client cannot hear of it. The client learns of it when requests to join are
// refused, and ends the connection, instead of asking again and again.
func TestEndedWithoutWord(t *testing.T) {
	t.Parallel()
	// The concentrator keeps a leg that waits for a flow for a minute, while all is dark.
	r := scene.Start(t, scene.Steered(rig.DSLAndLTE(), "limits.idle_legs = 0"))
	accepted := make(chan *net.TCPConn, 1)
	var l net.Listener
	err := r.Destination.Do(t.Context(), func() (err error) {
		l, err = net.Listen("tcp", ":9")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- c.(*net.TCPConn)
		}
	}()
	app := scene.Through(t, r, r.Destination4.String(), 9)
	destination := <-accepted
	scene.Eventually(t, "a subflow on each path", func() string {
		for _, c := range scene.StatusOf(t, r).Connections {
			if len(c.Subflows) == len(r.Links) {
				return ""
			}
		}
		return "not yet"
	})
	for _, l := range r.Links {
		if err := l.SetBlackhole(true); err != nil {
			t.Fatal(err)
		}
	}
	_ = destination.SetLinger(0)
	_ = destination.Close()
	scene.NothingLingers(t, r.Server)
	if err := r.Links[1].Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	scene.Eventually(t, "the end of the second subflow", func() string {
		if events := scene.EventsOf(t, r); !strings.Contains(events, "is down or not allowed") {
			return events
		}
		return ""
	})
	for _, l := range r.Links {
		if err := l.SetBlackhole(false); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Links[1].Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
		t.Errorf("the application was told %v, want a reset", err)
	}
	t.Log(scene.EventsOf(t, r))
}
