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
