package scene

import (
	"fmt"
	"net"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
)

// Middlebox has nft(8) run a ruleset at the far side of the client's links, where
// access providers have their boxes.
func Middlebox(t *testing.T, r *rig.Rig, ruleset string) {
	t.Helper()
	cmd := r.Concentrator.Command(t.Context(), Need(t, "nft"), ruleset)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft %s: %v: %s", ruleset, err, out)
	}
}

// Portal is a captive portal on a link: it takes over all connections to the
// concentrator, and answers as serve does.
func Portal(t *testing.T, r *rig.Rig, l *netns.Link, serve func(net.Conn)) {
	t.Helper()
	var listener net.Listener
	err := r.Concentrator.Do(t.Context(), func() (err error) {
		var c net.ListenConfig
		c.SetMultipathTCP(false)
		listener, err = c.Listen(t.Context(), "tcp", ":0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go acceptAll(listener, serve)
	Middlebox(t, r, fmt.Sprintf(`table inet portal { chain pre { type nat hook prerouting priority dstnat; iifname %q tcp dport %d redirect to :%d; }; }`,
		l.Name, rig.Port, listener.Addr().(*net.TCPAddr).Port))
}

func acceptAll(l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		serve(c)
	}
}

// StripMPTCP has a link lose the options of MPTCP, in both directions.
func StripMPTCP(t *testing.T, r *rig.Rig, l *netns.Link) {
	t.Helper()
	Middlebox(t, r, fmt.Sprintf(`table inet strip { chain in { type filter hook prerouting priority raw; iifname %q reset tcp option mptcp; }; chain out { type filter hook postrouting priority raw; oifname %q reset tcp option mptcp; }; }`, l.Name, l.Name))
}
