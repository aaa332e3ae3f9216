package networks

import (
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mpproxy/test/netns"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// TestOutageLeavesMPTCPOn: some seconds without any path do not cost the connections
// that begin afterwards their second path. Since Linux 6.12 the kernel switches MPTCP
// off for an hour then (net.mptcp.blackhole_timeout).
func TestOutageLeavesMPTCPOn(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, scene.Steered(rig.DSLAndLTE()))
	dark := func(on bool) {
		for _, l := range r.Links {
			if err := l.SetBlackhole(on); err != nil {
				t.Fatal(err)
			}
		}
	}
	dark(true)
	during := scene.Curl(t, r, scene.NewGate(t), nil, io.Discard, "--proxy-user", "handover:", "--connect-timeout", "20", "http://"+netns.DestinationName+"/")
	scene.Eventually(t, "SYNs that are repeated without MPTCP", func() string {
		if mptcpCount(t, r.Client, "MPCapableSYNTXDrop") == 0 {
			return "none yet"
		}
		return ""
	})
	dark(false)
	_ = during.End(t) // it may fail: there was no path
	down := scene.StartDownload(t, r, scene.NewGate(t, scene.TransferSize/4), scene.TransferSize/2, "--proxy-user", "backup:")
	down.Gate.Wait(t)
	scene.Eventually(t, "a connection with both paths", func() string {
		for _, c := range scene.StatusOf(t, r).Connections {
			if len(c.Subflows) == len(r.Links) {
				return ""
			}
		}
		return "none"
	})
	down.Gate.Next()
	down.Finish(t)
	if n := mptcpCount(t, r.Client, "MPCapableSYNTXDisabled"); n > 0 {
		t.Errorf("the kernel has begun %d connections without MPTCP", n)
	}
}

// mptcpCount reads one of the kernel's counters of MPTCP, 0 where it has none of that
// name.
func mptcpCount(t *testing.T, h *netns.Host, name string) (n int) {
	t.Helper()
	err := h.Do(t.Context(), func() error {
		b, err := os.ReadFile("/proc/thread-self/net/netstat")
		var names []string
		for line := range strings.Lines(string(b)) {
			switch fields := strings.Fields(line); {
			case len(fields) == 0 || fields[0] != "MPTcpExt:":
			case names == nil:
				names = fields
			default:
				if i := slices.Index(names, name); i >= 0 {
					n, err = strconv.Atoi(fields[i])
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
