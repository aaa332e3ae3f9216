package metrics

import "github.com/prometheus/client_golang/prometheus"

// The names of all metrics; dashboards and alerts depend on them.
const (
	PathUp               = "mpproxy_path_up"
	PathTroubled         = "mpproxy_path_troubled"
	PathReceivedBytes    = "mpproxy_path_received_bytes_total"
	PathSentBytes        = "mpproxy_path_sent_bytes_total"
	PathRTT              = "mpproxy_path_rtt_seconds"
	SubflowsNow          = "mpproxy_subflows"
	DecisionsTotal       = "mpproxy_decisions_total"
	ConnectionsNow       = "mpproxy_connections"
	ConnectionsOpened    = "mpproxy_connections_opened_total"
	ConnectionsRefused   = "mpproxy_connections_refused_total"
	ConnectionsFailed    = "mpproxy_connections_failed_total"
	ConnectionsFellBack  = "mpproxy_connections_plain_tcp_total"
	ConnectionsReused    = "mpproxy_connections_reused_leg_total"
	AnsweredEarly        = "mpproxy_connections_answered_early_total"
	AnsweredWrongly      = "mpproxy_connections_answered_wrongly_total"
	AuthFailures         = "mpproxy_authentication_failures_total"
	SentBytes            = "mpproxy_relayed_sent_bytes_total"
	ReceivedBytes        = "mpproxy_relayed_received_bytes_total"
	ConcentratorOK       = "mpproxy_concentrator_ok"
	ControllerSteering   = "mpproxy_controller_steering"
	ControllerEBPF       = "mpproxy_controller_ebpf"
	ControllerLostEvents = "mpproxy_controller_event_gaps_total"
	ControllerLooks      = "mpproxy_controller_look_seconds"
)

// The labels. Paths and modes are those of the configuration and the host;
// tokens, users, addresses and destinations are never labels.
const (
	labelPath     = "path"
	labelPriority = "priority" // "regular" or "backup"
	labelMode     = "mode"
	labelAction   = "action"
	labelReason   = "reason"
)

// other is the value of a label for what is not known, or beyond the bound.
const other = "other"

// metric describes one metric, and says how to read it from a snapshot.
type metric struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	read       func(s *Snapshot, emit func(value float64, labels ...string))
}

func (m *metric) desc() *prometheus.Desc {
	return prometheus.NewDesc(m.name, m.help, m.labels, nil)
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// counter describes a counter without labels.
func counter(name, help string, of func(s *Snapshot) uint64) metric {
	return metric{name, help, prometheus.CounterValue, nil, func(s *Snapshot, emit func(float64, ...string)) {
		emit(float64(of(s)))
	}}
}

// gauge describes a gauge without labels.
func gauge(name, help string, of func(s *Snapshot) bool) metric {
	return metric{name, help, prometheus.GaugeValue, nil, func(s *Snapshot, emit func(float64, ...string)) {
		emit(truth(of(s)))
	}}
}

// ofPath describes a metric of each path; a path of which it is not known is
// left out.
func ofPath(name, help string, kind prometheus.ValueType, of func(p *Path) (float64, bool)) metric {
	return metric{name, help, kind, []string{labelPath}, func(s *Snapshot, emit func(float64, ...string)) {
		for i := range s.Paths {
			if v, known := of(&s.Paths[i]); known {
				emit(v, s.Paths[i].Name)
			}
		}
	}}
}
