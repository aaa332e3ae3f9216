package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bounds = Bounds{
	Modes:   []string{"aggregate", "handover", "my-mode"},
	Actions: []string{"create", "destroy"},
	Reasons: []string{"mode", "timeout"},
}

func full() Snapshot {
	yes := true
	return Snapshot{
		Paths: []Path{
			{Name: "wifi", Up: true, ReceivedBytes: 100, SentBytes: 50, RTT: 25 * time.Millisecond},
			{Name: "lte", Troubled: true, ReceivedBytes: 7},
		},
		Subflows:  []Subflows{{"wifi", false, 3}, {"lte", true, 2}},
		Decisions: []Decisions{{"handover", "create", "mode", 4}, {"my-mode", "destroy", "timeout", 1}},
		Modes:     []Connections{{"handover", 2, 10}, {"my-mode", 0, 1}},
		SentBytes: 11, ReceivedBytes: 22, Refused: 1, Failed: 2, FellBack: 3, Reused: 6, AnsweredEarly: 9, AnsweredWrongly: 4, AuthFailures: 4,
		Steering: true, EBPF: true, LostEvents: 5, Looks: 8, LookTime: 2 * time.Second, Concentrator: &yes,
	}
}

func registry(t *testing.T, s Snapshot, err error) *prometheus.Registry {
	t.Helper()
	r, newErr := New(bounds, func(context.Context) (Snapshot, error) { return s, err })
	if newErr != nil {
		t.Fatal(newErr)
	}
	return r
}

// ours are the names of all metrics that are not the process's.
func ours() []string {
	names := []string{ControllerLooks}
	for _, m := range table {
		names = append(names, m.name)
	}
	return names
}

func TestValues(t *testing.T) {
	const want = `
# HELP mpproxy_authentication_failures_total Connections with a wrong user name, token or mode.
# TYPE mpproxy_authentication_failures_total counter
mpproxy_authentication_failures_total 4
# HELP mpproxy_concentrator_ok Whether the concentrator took the last connection.
# TYPE mpproxy_concentrator_ok gauge
mpproxy_concentrator_ok 1
# HELP mpproxy_connections Connections that are being relayed.
# TYPE mpproxy_connections gauge
mpproxy_connections{mode="handover"} 2
mpproxy_connections{mode="my-mode"} 0
# HELP mpproxy_connections_answered_early_total Connections that were answered before the concentrator was asked.
# TYPE mpproxy_connections_answered_early_total counter
mpproxy_connections_answered_early_total 9
# HELP mpproxy_connections_answered_wrongly_total Connections that were answered early and reset, as their destination was not reached.
# TYPE mpproxy_connections_answered_wrongly_total counter
mpproxy_connections_answered_wrongly_total 4
# HELP mpproxy_connections_failed_total Connections whose destination or concentrator was not reached.
# TYPE mpproxy_connections_failed_total counter
mpproxy_connections_failed_total 2
# HELP mpproxy_connections_opened_total Connections that were relayed since the start.
# TYPE mpproxy_connections_opened_total counter
mpproxy_connections_opened_total{mode="handover"} 10
mpproxy_connections_opened_total{mode="my-mode"} 1
# HELP mpproxy_connections_plain_tcp_total Connections that came up as plain TCP between client and concentrator.
# TYPE mpproxy_connections_plain_tcp_total counter
mpproxy_connections_plain_tcp_total 3
# HELP mpproxy_connections_refused_total Connections that were turned away at a limit.
# TYPE mpproxy_connections_refused_total counter
mpproxy_connections_refused_total 1
# HELP mpproxy_connections_reused_leg_total Connections that needed no handshake: a leg was there already.
# TYPE mpproxy_connections_reused_leg_total counter
mpproxy_connections_reused_leg_total 6
# HELP mpproxy_controller_ebpf Whether timeouts are told by eBPF, rather than found by reading sockets again and again.
# TYPE mpproxy_controller_ebpf gauge
mpproxy_controller_ebpf 1
# HELP mpproxy_controller_event_gaps_total Times that events of the kernel were lost, after which all connections were read anew.
# TYPE mpproxy_controller_event_gaps_total counter
mpproxy_controller_event_gaps_total 5
# HELP mpproxy_controller_look_seconds Time that the controller's goroutine took for a look at a connection, decisions and their execution included.
# TYPE mpproxy_controller_look_seconds summary
mpproxy_controller_look_seconds_sum 2
mpproxy_controller_look_seconds_count 8
# HELP mpproxy_controller_steering Whether mpproxy itself is the path manager, rather than the kernel.
# TYPE mpproxy_controller_steering gauge
mpproxy_controller_steering 1
# HELP mpproxy_decisions_total Decisions of the subflow controller.
# TYPE mpproxy_decisions_total counter
mpproxy_decisions_total{action="create",mode="handover",reason="mode"} 4
mpproxy_decisions_total{action="destroy",mode="my-mode",reason="timeout"} 1
# HELP mpproxy_path_received_bytes_total Bytes that the path's interface has received, other traffic included.
# TYPE mpproxy_path_received_bytes_total counter
mpproxy_path_received_bytes_total{path="lte"} 7
mpproxy_path_received_bytes_total{path="wifi"} 100
# HELP mpproxy_path_rtt_seconds Smoothed round-trip time of the subflows on the path.
# TYPE mpproxy_path_rtt_seconds gauge
mpproxy_path_rtt_seconds{path="wifi"} 0.025
# HELP mpproxy_path_sent_bytes_total Bytes that the path's interface has sent, other traffic included.
# TYPE mpproxy_path_sent_bytes_total counter
mpproxy_path_sent_bytes_total{path="lte"} 0
mpproxy_path_sent_bytes_total{path="wifi"} 50
# HELP mpproxy_path_troubled Whether subflows fail on the path, so that new connections start elsewhere.
# TYPE mpproxy_path_troubled gauge
mpproxy_path_troubled{path="lte"} 1
mpproxy_path_troubled{path="wifi"} 0
# HELP mpproxy_path_up Whether the path is up.
# TYPE mpproxy_path_up gauge
mpproxy_path_up{path="lte"} 0
mpproxy_path_up{path="wifi"} 1
# HELP mpproxy_relayed_received_bytes_total Payload bytes that were relayed from destinations to applications.
# TYPE mpproxy_relayed_received_bytes_total counter
mpproxy_relayed_received_bytes_total 22
# HELP mpproxy_relayed_sent_bytes_total Payload bytes that were relayed from applications to destinations.
# TYPE mpproxy_relayed_sent_bytes_total counter
mpproxy_relayed_sent_bytes_total 11
# HELP mpproxy_subflows Established subflows of relayed connections.
# TYPE mpproxy_subflows gauge
mpproxy_subflows{path="lte",priority="backup"} 2
mpproxy_subflows{path="wifi",priority="regular"} 3
`
	if err := testutil.GatherAndCompare(registry(t, full(), nil), strings.NewReader(want), ours()...); err != nil {
		t.Error(err)
	}
}

func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(registry(t, full(), nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, m := range table {
		if !strings.HasSuffix(m.help, ".") || strings.ToUpper(m.help[:1]) != m.help[:1] {
			t.Errorf("%s: the help is no sentence: %q", m.name, m.help)
		}
		if counts := m.kind == prometheus.CounterValue; counts != strings.HasSuffix(m.name, "_total") {
			t.Errorf("%s: only counters end in _total", m.name)
		}
		for _, l := range m.labels {
			if !slices.Contains([]string{labelPath, labelPriority, labelMode, labelAction, labelReason}, l) {
				t.Errorf("%s has the label %s", m.name, l)
			}
		}
	}
}

// TestBounds: whatever names come, there are so many series and no more, and
// nothing is lost of the sums.
func TestBounds(t *testing.T) {
	const many = 1000
	var s Snapshot
	for i := range many {
		name := fmt.Sprint("name", i)
		s.Paths = append(s.Paths, Path{Name: name, SentBytes: 1})
		s.Subflows = append(s.Subflows, Subflows{name, i%2 == 0, 1})
		s.Decisions = append(s.Decisions, Decisions{name, name, name, 1})
		s.Modes = append(s.Modes, Connections{name, 1, 1})
	}
	s.Decisions = append(s.Decisions, Decisions{"", "", "", 1}, Decisions{"handover", "create", "mode", 1})
	families, err := registry(t, s, nil).Gather()
	if err != nil {
		t.Fatal(err)
	}
	most := map[string]int{PathSentBytes: maxPaths + 1, SubflowsNow: 2 * (maxPaths + 1), DecisionsTotal: 2, ConnectionsNow: 1}
	sums := map[string]float64{PathSentBytes: many, SubflowsNow: many, DecisionsTotal: many + 2, ConnectionsNow: many}
	for _, f := range families {
		limit, listed := most[f.GetName()]
		if !listed {
			continue
		}
		delete(most, f.GetName())
		sum := 0.0
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
		if n := len(f.GetMetric()); n > limit || sum != sums[f.GetName()] {
			t.Errorf("%s has %d series with the sum %v, want at most %d and %v", f.GetName(), n, sum, limit, sums[f.GetName()])
		}
	}
	if len(most) > 0 {
		t.Errorf("not there: %v", most)
	}
}

// TestOddNames: an interface may be called what it likes.
func TestOddNames(t *testing.T) {
	s := Snapshot{Paths: []Path{{Name: "\xff\"\n"}, {Name: ""}}}
	if _, err := registry(t, s, nil).Gather(); err != nil {
		t.Error(err)
	}
}

// TestUnknownIsLeftOut: what a program does not have is not shown as zero.
func TestUnknownIsLeftOut(t *testing.T) {
	families, err := registry(t, Snapshot{}, nil).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if slices.Contains([]string{ConcentratorOK, PathUp, PathRTT, SubflowsNow}, f.GetName()) {
			t.Errorf("%s is there", f.GetName())
		}
	}
}

func scrape(t *testing.T, r *prometheus.Registry) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(r, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w
}

func TestHandler(t *testing.T) {
	w := scrape(t, registry(t, full(), nil))
	for _, want := range []string{`mpproxy_path_up{path="wifi"} 1`, "process_cpu_seconds_total"} {
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("status %d, no %s", w.Code, want)
		}
	}
	if w := scrape(t, registry(t, Snapshot{}, errors.New("busy"))); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "busy") {
		t.Errorf("a snapshot that fails: status %d: %s", w.Code, w.Body)
	}
}
