package policy

import "time"

// spared reports whether a subflow that has failed stays for now. Those that share
// a path often stall together, when the path or this machine stands still: which
// of them work shows when the first acknowledgements are back. So all stay for a
// moment when most have failed, and the next ones when one was dropped a moment
// ago. One that is parked stays until its timer has expired twice: it has only to
// finish what it began.
func (v *View) spared(s *Sub) bool {
	if !v.mode.Several || s.fault.kind != isStalled && s.fault.kind != isTimedOut {
		return false
	}
	now, grace := v.Conn.Age, v.Params.StallTimeout
	switch {
	case v.mode.Parks && v.parked(s) && s.Timeouts < 2:
		return true
	case v.mostFail(s.Path) && (v.Memory.Stood == 0 || now-v.Memory.Stood >= forgetStood):
		v.Memory.Stood = now
	}
	since := max(v.Memory.Stood, v.Memory.Lost)
	if since > 0 && now-since < grace && v.Memory.Lost != now {
		v.LookIn(since + grace - now)
		return true
	}
	v.Memory.Lost = now
	return false
}

// forgetStood is after what time most subflows of a path may stand still anew.
const forgetStood = 2 * time.Second

// mostFail reports whether more than half of the subflows in use on a path have
// failed.
func (v *View) mostFail(path string) bool {
	fail, use := 0, 0
	for i := range v.Subs {
		if s := &v.Subs[i]; s.Path == path && s.Established && !v.parked(s) {
			use++
			if s.fault.kind == isStalled || s.fault.kind == isTimedOut {
				fail++
			}
		}
	}
	return use > 2 && 2*fail > use
}

// parked reports whether the client holds a subflow as backup.
func (v *View) parked(s *Sub) bool {
	if v.Conn.Role == Concentrator {
		return s.PeerBackup
	}
	return s.Backup
}
