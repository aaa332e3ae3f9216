package metrics

import "github.com/prometheus/client_golang/prometheus"

// table lists all metrics but the duration of a look, which is a summary.
var table = []metric{
	ofPath(PathUp, "Whether the path is up.", prometheus.GaugeValue,
		func(p *Path) (float64, bool) { return truth(p.Up), true }),
	ofPath(PathTroubled, "Whether subflows fail on the path, so that new connections start elsewhere.", prometheus.GaugeValue,
		func(p *Path) (float64, bool) { return truth(p.Troubled), true }),
	ofPath(PathReceivedBytes, "Bytes that the path's interface has received, other traffic included.", prometheus.CounterValue,
		func(p *Path) (float64, bool) { return float64(p.ReceivedBytes), true }),
	ofPath(PathSentBytes, "Bytes that the path's interface has sent, other traffic included.", prometheus.CounterValue,
		func(p *Path) (float64, bool) { return float64(p.SentBytes), true }),
	ofPath(PathRTT, "Smoothed round-trip time of the subflows on the path.", prometheus.GaugeValue,
		func(p *Path) (float64, bool) { return p.RTT.Seconds(), p.RTT > 0 }),
	{SubflowsNow, "Established subflows of relayed connections.", prometheus.GaugeValue, []string{labelPath, labelPriority}, func(s *Snapshot, emit func(float64, ...string)) {
		for _, f := range s.Subflows {
			priority := "regular"
			if f.Backup {
				priority = "backup"
			}
			emit(float64(f.N), f.Path, priority)
		}
	}},
	{DecisionsTotal, "Decisions of the subflow controller.", prometheus.CounterValue, []string{labelMode, labelAction, labelReason}, func(s *Snapshot, emit func(float64, ...string)) {
		for _, d := range s.Decisions {
			emit(float64(d.N), d.Mode, d.Action, d.Reason)
		}
	}},
	{ConnectionsNow, "Connections that are being relayed.", prometheus.GaugeValue, []string{labelMode}, func(s *Snapshot, emit func(float64, ...string)) {
		for _, c := range s.Modes {
			emit(float64(c.Live), c.Mode)
		}
	}},
	{ConnectionsOpened, "Connections that were relayed since the start.", prometheus.CounterValue, []string{labelMode}, func(s *Snapshot, emit func(float64, ...string)) {
		for _, c := range s.Modes {
			emit(float64(c.Opened), c.Mode)
		}
	}},
	counter(ConnectionsRefused, "Connections that were turned away at a limit.", func(s *Snapshot) uint64 { return s.Refused }),
	counter(ConnectionsFailed, "Connections whose destination or concentrator was not reached.", func(s *Snapshot) uint64 { return s.Failed }),
	counter(ConnectionsFellBack, "Connections that came up as plain TCP between client and concentrator.", func(s *Snapshot) uint64 { return s.FellBack }),
	counter(ConnectionsReused, "Connections that needed no handshake: a leg was there already.", func(s *Snapshot) uint64 { return s.Reused }),
	counter(AnsweredEarly, "Connections that were answered before the concentrator was asked.", func(s *Snapshot) uint64 { return s.AnsweredEarly }),
	counter(AnsweredWrongly, "Connections that were answered early and reset, as their destination was not reached.", func(s *Snapshot) uint64 { return s.AnsweredWrongly }),
	counter(AuthFailures, "Connections with a wrong user name, token or mode.", func(s *Snapshot) uint64 { return s.AuthFailures }),
	counter(SentBytes, "Payload bytes that were relayed from applications to destinations.", func(s *Snapshot) uint64 { return s.SentBytes }),
	counter(ReceivedBytes, "Payload bytes that were relayed from destinations to applications.", func(s *Snapshot) uint64 { return s.ReceivedBytes }),
	{ConcentratorOK, "Whether the concentrator took the last connection.", prometheus.GaugeValue, nil, func(s *Snapshot, emit func(float64, ...string)) {
		if s.Concentrator != nil {
			emit(truth(*s.Concentrator))
		}
	}},
	gauge(ControllerSteering, "Whether mpproxy itself is the path manager, rather than the kernel.", func(s *Snapshot) bool { return s.Steering }),
	gauge(ControllerEBPF, "Whether timeouts are told by eBPF, rather than found by reading sockets again and again.", func(s *Snapshot) bool { return s.EBPF }),
	counter(ControllerLostEvents, "Times that events of the kernel were lost, after which all connections were read anew.", func(s *Snapshot) uint64 { return s.LostEvents }),
}
