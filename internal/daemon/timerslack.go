package daemon

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// timerSlack is how much later than asked the kernel may wake a thread that sleeps,
// instead of the 50 µs that are usual. With a millisecond, connections wait longer now and
// then (their 99th percentile, make lab EXP=cost), for little more.
const timerSlack = 200 * time.Microsecond

// WidenTimerSlack gives every thread of the program a timer slack of 200 µs
// (prctl(2), PR_SET_TIMERSLACK), by starting the program once more in the same
// process, with the same arguments; call it before anything else. Where that is not
// possible it returns, and all is as usual.
//
// It is there for one thread of the Go runtime, which looks after the others every
// 20 µs while they are busy, and has 50 µs of slack by default: with many short system
// calls it took 7 to 9 % of a program's CPU time, and the processor from those that
// work. Threads inherit their slack, and that one exists before main does. Timers of
// ours, the shortest of which run for 10 ms, are at most so much later.
func WidenTimerSlack() {
	runtime.LockOSThread() // the slack is a thread's, and exec keeps this one's
	defer runtime.UnlockOSThread()
	before := getTimerSlack()
	if before >= timerSlack {
		return // done, or somebody else's choice, such as systemd's TimerSlackNSec=
	}
	if unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0) != nil || getTimerSlack() != timerSlack {
		return // threads with a real-time policy have none
	}
	if self, err := os.Executable(); err == nil {
		_ = syscall.Exec(self, os.Args, os.Environ()) // returns only when it failed
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(before), 0, 0, 0)
}

// getTimerSlack returns that of the calling thread.
func getTimerSlack() time.Duration {
	n, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return timerSlack // leave it alone
	}
	return time.Duration(n)
}
