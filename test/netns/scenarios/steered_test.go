package scenarios

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"mpproxy/internal/status"
	"mpproxy/mptcpsock"
	"mpproxy/pathctl/mptcppm"
	"mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/netns/rig"
)

// managedBy makes a path manager that of both ends.
func managedBy(manager string, cfg rig.Config) rig.Config {
	set := with(fmt.Sprintf("path_manager = %q", manager))
	cfg.EditServer, cfg.EditClient = both(cfg.EditServer, set), both(cfg.EditClient, set)
	return cfg
}

// both makes one edit of two, the first of which may be nil.
func both(a, b func(string) string) func(string) string {
	if a == nil {
		return b
	}
	return func(toml string) string { return b(a(toml)) }
}

// steered is a rig in which mpproxy itself is the path manager at both ends;
// entries are further ones of the client's configuration.
func steered(links []netns.LinkConfig, entries ...string) rig.Config {
	return managedBy("userspace", rig.Config{Links: links, EditClient: with(entries...)})
}

// steers fails the test unless the client says that it steers.
func steers(t *testing.T, st status.Status) {
	t.Helper()
	if st.PathManager.Backend != "userspace" || st.PathManager.Timeouts == "" {
		t.Fatalf("path manager: %+v", st.PathManager)
	}
}

// TestSteeredPathGoesDark: a path that swallows everything, though its link
// stays up, costs no byte in either direction, and the end that was sending
// over it says what it did.
func TestSteeredPathGoesDark(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"aggregate", "handover", "interactive"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := start(t, steered(rig.DSLAndLTE(), fmt.Sprintf("mode = %q", mode)))
			const size = transferSize / 2
			down := startDownload(t, r, newGate(t, size/4), size)
			up := startUpload(t, r, newGate(t, size/4), size)
			down.gate.wait(t)
			up.gate.wait(t)
			if err := r.Links[0].SetBlackhole(true); err != nil {
				t.Fatal(err)
			}
			down.gate.next()
			up.gate.next()
			down.finish(t)
			up.finish(t)
			out := eventsOf(t, r)
			if !strings.Contains(out, "dsl0: ") || !strings.Contains(out, "("+netns.DestinationName+":80, "+mode+")") {
				t.Errorf("events do not say what became of dsl0:\n%s", out)
			}
		})
	}
}

// TestSteeredModes: the modes make the subflows that they are said to make.
func TestSteeredModes(t *testing.T) {
	t.Parallel()
	const big = 8_000_000
	for _, tt := range []struct {
		mode    string
		metered bool
		second  func(subflows []status.Subflow, lte link.Counters) string // what is wrong
	}{
		{"single", false, none},
		{"lazy", false, some},
		{"handover", true, none},
		{"handover", false, func(fs []status.Subflow, _ link.Counters) string {
			for _, f := range fs {
				if f.Path == "lte0" && f.Backup {
					return ""
				}
			}
			return "want a backup on lte0"
		}},
		{"aggregate", false, some},
	} {
		t.Run(fmt.Sprintf("%s, metered %t", tt.mode, tt.metered), func(t *testing.T) {
			t.Parallel()
			cfg := steered(rig.DSLAndLTE(), fmt.Sprintf("mode = %q", tt.mode))
			if tt.metered {
				cfg.ClientArgs = []string{"--path", "dsl0", "--path", "lte0:metered"}
			}
			r := start(t, cfg)
			before := r.Links[1].Counters(netns.Upstream)
			down := startDownload(t, r, newGate(t, big/2), big)
			down.gate.wait(t)
			st := statusOf(t, r)
			if len(st.Connections) != 1 {
				t.Fatalf("connections: %+v", st.Connections)
			}
			after := r.Links[1].Counters(netns.Upstream)
			after.OfferedBytes -= before.OfferedBytes
			if wrong := tt.second(st.Connections[0].Subflows, after); wrong != "" {
				t.Errorf("%s: %+v, %d bytes on lte0", wrong, st.Connections[0].Subflows, after.OfferedBytes)
			}
			down.finish(t)
		})
	}
}

// none wants no subflow on lte0, and nothing on the link but what hosts say to
// find their neighbours: a SYN with MP_JOIN, repeated, would be more.
func none(fs []status.Subflow, lte link.Counters) string {
	const neighbours = 300
	if len(fs) != 1 || fs[0].Path != "dsl0" || lte.OfferedBytes > neighbours {
		return "want nothing on lte0"
	}
	return ""
}

func some(fs []status.Subflow, _ link.Counters) string {
	for _, f := range fs {
		if f.Path == "lte0" && !f.Backup && f.ReceivedBytes > 0 {
			return ""
		}
	}
	return "want data on lte0"
}

// TestSteeringServesOthers: a program that is not ours gets the subflows that
// the kernel's path manager would have made of the configured endpoints.
func TestSteeringServesOthers(t *testing.T) {
	t.Parallel()
	r := start(t, steered(clientLinks()))
	var conn *mptcpsock.Conn
	err := r.Client.Do(t.Context(), func() (err error) {
		pm, err := mptcppm.Dial(nil)
		if err != nil {
			return err
		}
		defer pm.Close()
		err = pm.AddEndpoint(t.Context(), mptcppm.Endpoint{ID: 7, Addr: r.Links[1].Client4, Flags: mptcppm.FlagSubflow})
		if err != nil {
			return err
		}
		d := mptcpsock.Dialer{Strict: true}
		conn, err = d.Dial(t.Context(), netip.AddrPortFrom(r.Concentrator4, rig.Port))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A connection takes further subflows once data was acknowledged.
	if _, err := conn.Write([]byte{0x16, 3, 1}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "second subflow", func() string {
		fs, err := conn.Subflows()
		if err != nil {
			return err.Error()
		}
		for _, f := range fs {
			if f.Local.Addr() == r.Links[1].Client4 {
				return ""
			}
		}
		return fmt.Sprintf("only %v", fs)
	})
}
