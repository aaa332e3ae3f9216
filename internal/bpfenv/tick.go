package bpfenv

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// TickLength returns the length of a jiffy, the unit of the kernel's timers: 1
// to 10 ms, by CONFIG_HZ.
//
// The kernel does not tell HZ; USER_HZ (sysconf) is 100 whatever it is, and
// config files are not everywhere. But the resolution of the coarse clocks is
// TICK_NSEC, the length of a jiffy as compiled in (LOW_RES_NSEC,
// include/linux/hrtimer.h). A test holds it against bpf_jiffies64.
func TickLength() (time.Duration, error) {
	var res unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &res); err != nil {
		return 0, fmt.Errorf("resolution of CLOCK_MONOTONIC_COARSE: %w", err)
	}
	return time.Duration(res.Nano()), nil
}
