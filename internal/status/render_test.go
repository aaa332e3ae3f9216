package status

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with testdata/NAME.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it anew):\n%s", name, diff)
	}
}

func TestRender(t *testing.T) {
	for name, st := range samples() {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if err := Render(&out, st, RenderOptions{}); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".golden", out.String())
		})
	}
}

func TestRenderFewConnections(t *testing.T) {
	var out strings.Builder
	if err := Render(&out, samples()["working"], RenderOptions{MaxConnections: 1}); err != nil {
		t.Fatal(err)
	}
	golden(t, "few.golden", out.String())
}

func TestRenderTellsOfAFailedWrite(t *testing.T) {
	full := errors.New("disk full")
	for _, st := range samples() {
		var whole strings.Builder
		if err := Render(&whole, st, RenderOptions{}); err != nil {
			t.Fatal(err)
		}
		for room := range whole.Len() {
			if err := Render(&smallWriter{room, full}, st, RenderOptions{}); !errors.Is(err, full) {
				t.Fatalf("Render with room for %d of %d bytes = %v", room, whole.Len(), err)
			}
		}
	}
}

// smallWriter takes room bytes.
type smallWriter struct {
	room int
	err  error
}

func (w *smallWriter) Write(p []byte) (int, error) {
	if len(p) > w.room {
		n := w.room
		w.room = 0
		return n, w.err
	}
	w.room -= len(p)
	return len(p), nil
}

// samples are programs in several states, by name.
func samples() map[string]Status {
	started := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := started.Add(3*time.Hour + 25*time.Minute + 7*time.Second)
	ap := netip.MustParseAddrPort
	base := Status{
		Program: Client, Version: "v0.1.0", Started: started, Taken: now,
		Socks: []string{"127.0.0.1:1080", "[::1]:1080"}, Mode: "aggregate",
		Server: Server{
			Address: "proxy.example.net:8443", Name: "home", User: "alice", Security: "tls",
			State: "ok", Since: now.Add(-90 * time.Second), LastOK: now,
		},
		PathManager: PathManager{Backend: "kernel", Endpoints: 3, Active: true, SourceRouting: true},
		Paths: []Path{
			{
				Name: "wifi", Interface: "wlan0", Rank: 1, State: "up", Addresses: []string{"192.0.2.10", "2001:db8:1::10"},
				ReceivedBytes: 61_000_000, SentBytes: 1_200_000, ReceiveRate: 47_150_000, SendRate: 999,
			},
			{
				Name: "lte", Interface: "wwan0", Rank: 2, Metered: true, State: "up", Addresses: []string{"198.51.100.7"},
				ReceivedBytes: 18_446_744_073_709_551_615, ReceiveRate: 18_860_000,
			},
		},
		Connections: []Connection{}, Missing: []Missing{}, Notices: []Notice{},
		Totals: Totals{Connections: 12, Live: 2},
	}

	working := base
	working.Connections = []Connection{
		{
			ID: 11, Destination: "www.example.org:443", User: "bob", Mode: "aggregate", Opened: now.Add(-2500 * time.Millisecond), Protocol: "mptcp",
			Token: "0x0badcafe", SentBytes: 512, ReceivedBytes: 48_200_000, Subflows: []Subflow{
				{Path: "wifi", Local: ap("192.0.2.10:40001"), Remote: ap("203.0.113.5:8443"), RTTMillis: 21.25, SentBytes: 700, ReceivedBytes: 35_000_000},
				{Path: "lte", Local: ap("198.51.100.7:40002"), Remote: ap("203.0.113.5:8443"), RTTMillis: 52, RTOMillis: 252.4, ReceivedBytes: 14_000_000, Retransmitted: 2800, ReceiveRate: 18_000_000, SendRate: 12_000, LossRatio: 0.0123, Backup: true},
			},
		},
		{ID: 12, Destination: "[2001:db8:3::80]:80", Mode: "handover", Opened: now.Add(-3 * time.Hour), Protocol: "mptcp", Subflows: []Subflow{
			{Path: "?", Local: ap("[2001:db8:1::9]:40003"), Remote: ap("[2001:db8:2::5]:8443"), RTTMillis: 0.04},
		}},
	}

	troubled := base
	troubled.Paths = []Path{base.Paths[0], base.Paths[1], base.Paths[1], base.Paths[1]}
	for i, t := range []*Trouble{
		nil,
		{Kind: "timeout", Reason: "no progress for 310 ms on lte (limit 240 ms)", Failures: 3, Since: now.Add(-15 * time.Second), LeftAloneSeconds: 3.2},
		{Kind: "poor", Reason: "loss 31 % ≥ 20 % on lte", Failures: 1, Since: now.Add(-4 * time.Second), Unproven: true},
		{Kind: "join refused", Reason: "the subflow ended: connection refused", Failures: 2, Since: now.Add(-3 * time.Second)},
	} {
		troubled.Paths[i].Trouble, troubled.Paths[i].RTTMillis = t, 21.5
	}

	unreachable := base
	unreachable.Server.State, unreachable.Server.Since = "unreachable", now.Add(-4*time.Second)
	unreachable.Server.LastOK = time.Time{}
	unreachable.Server.Error = "connecting to proxy.example.net:8443: connection refused"
	unreachable.Server.Advice = "see that mpproxy-server runs there and that the port is right"
	unreachable.Totals = Totals{Connections: 40, Failed: 40}

	bare := base
	bare.Server = Server{Address: "192.0.2.1:1080", Security: "none", State: "not checked yet"}
	bare.Socks = []string{"127.0.0.1:1080"}
	bare.PathManager = PathManager{Backend: "kernel"}
	bare.Paths = []Path{}
	bare.Totals = Totals{}
	bare.Missing = []Missing{
		{What: "MPTCP", Effect: "each connection uses one path only", Advice: "switch it on: sysctl -w net.mptcp.enabled=1"},
		{What: "a path", Effect: "nothing can be reached", Advice: "bring an interface up"},
	}

	fallen := base
	fallen.Server.PlainTCP = "wifi: the server answered without MP_CAPABLE"
	fallen.PathManager.Active, fallen.PathManager.SourceRouting = false, false
	fallen.Paths = []Path{
		{
			Name: "wifi", Interface: "wlan0", Rank: 1, State: "up", Addresses: []string{"192.0.2.10"},
			Warning: "rp_filter=1 drops what comes back over this interface: set it to 2",
		},
		{Name: "dsl", Interface: "ppp*", Rank: 2, State: "down", Reason: "no such interface", Metered: true, Addresses: []string{}},
	}
	fallen.Connections = []Connection{{
		ID: 3, Destination: "192.0.2.200:22", Mode: "single", Opened: now.Add(time.Second), Protocol: "tcp",
		FellBack: "no MP_CAPABLE in the answer", Subflows: []Subflow{},
	}}
	fallen.Notices = []Notice{{
		Kind: "endpoints", What: "MPTCP endpoints of another program: 192.0.2.10 id 1 [subflow]",
		Effect: "mpproxy leaves them alone", Advice: "if they are not wanted: ip mptcp endpoint delete id ID",
	}}
	fallen.Totals = Totals{Connections: 7, Live: 1, Refused: 2, Failed: 3, FellBack: 4, AuthFailures: 5}

	concentrator := base
	concentrator.Program, concentrator.Socks, concentrator.Paths, concentrator.Server = Concentrator, nil, []Path{}, Server{}
	concentrator.Listen, concentrator.Security = []string{"[::]:8443"}, "tls"
	concentrator.PathManager = PathManager{Backend: "userspace", Timeouts: "polling (privileges are missing: eBPF needs CAP_BPF)", EventGaps: 3, Active: true}
	concentrator.Missing = []Missing{{What: "CAP_BPF", Effect: "slower", Advice: "give it"}}
	concentrator.Connections = []Connection{{
		ID: 9, Destination: "www.example.org:443", User: "bob", Peer: "192.0.2.10:40001", Mode: "handover", Opened: now.Add(-time.Minute), Protocol: "mptcp",
		Decision: "destroy 192.0.2.10: no progress for 240 ms",
		Subflows: []Subflow{{Path: "198.51.100.7", Local: ap("203.0.113.5:8443"), Remote: ap("198.51.100.7:40002"), RTTMillis: 52, RTOMillis: 252, SendRate: 1_000_000}},
	}}

	return map[string]Status{"troubled": troubled, "concentrator": concentrator, "working": working, "unreachable": unreachable, "bare": bare, "fallen": fallen}
}

func TestBytesAndRate(t *testing.T) {
	for n, want := range map[uint64]string{
		0:                          "0 ",
		999:                        "999 ",
		1000:                       "1.0 k",
		1049:                       "1.0 k",
		1050:                       "1.1 k",
		999_949:                    "999.9 k",
		999_950:                    "1.0 M",
		999_999:                    "1.0 M",
		1_000_000:                  "1.0 M",
		47_150_000:                 "47.1 M",
		999_990_000:                "1.0 G",
		5_000_000_000:              "5.0 G",
		999_999_999_999:            "1.0 T",
		18_446_744_073_709_551_615: "18446744.1 T",
	} {
		if got := Bytes(n); got != want+"B" {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want+"B")
		}
		if got := Rate(n); got != want+"bit/s" {
			t.Errorf("Rate(%d) = %q, want %q", n, got, want+"bit/s")
		}
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:               "0s",
		0:                          "0s",
		1234 * time.Millisecond:    "1.2s",
		9960 * time.Millisecond:    "10s",
		61*time.Second + 499999999: "1m1s",
		26*time.Hour + time.Second: "26h0m1s",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%d) = %q, want %q", d, got, want)
		}
	}
}

// TestChanged: status says what is changed on the host, what it was, and whether somebody
// else has changed it since.
func TestChanged(t *testing.T) {
	s := Status{Program: Concentrator, Changed: []Change{
		{What: "net.mptcp.pm_type", Before: "0", Set: "1", Now: "1"},
		{What: "net.mptcp.blackhole_timeout", Before: "3600", Set: "0", Now: "77"},
		{What: "routing rules", Set: "some", Now: "some"},
	}}
	var b strings.Builder
	p := &printer{w: &b}
	p.changed(s)
	for _, want := range []string{
		"Changed on this host\n",
		"net.mptcp.pm_type: 1 (was 0, put back when mpproxy stops)\n",
		"net.mptcp.blackhole_timeout: 0 (now 77, by somebody else)\n",
		"routing rules: some (put back when mpproxy stops)\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing:\n%s", want, b.String())
		}
	}
}
