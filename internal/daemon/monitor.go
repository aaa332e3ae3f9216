package daemon

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// monitorSlack is how much later than asked the kernel may wake the Go runtime's
	// monitor, instead of usualSlack.
	monitorSlack = time.Millisecond
	// usualSlack is what threads have where nobody chose another one.
	usualSlack = 50 * time.Microsecond
	// spareThreads are started ahead of time by SlowMonitor.
	spareThreads = 8
)

// SlowMonitor gives the monitor of the Go runtime a timer slack of a millisecond
// (prctl(2), PR_SET_TIMERSLACK), by starting the program once more in the same
// process, with the same arguments; call it before anything else. Where that is not
// possible it returns, and all is as usual.
//
// The monitor is a thread that looks after the others every 20 µs while they are busy.
// With many short system calls that, and the threads that it wakes for nothing, took 11 %
// of a program's CPU time. Threads inherit their slack from the one that starts them, and
// the monitor is there before main: so the whole program begins with that slack, and its
// other threads go back to what is usual. A goroutine that a system call holds up gives
// its place to another one after a millisecond then, instead of some 50 µs.
func SlowMonitor() {
	if getTimerSlack() == monitorSlack {
		restoreSlack()
		return
	}
	runtime.LockOSThread() // the slack is a thread's, and exec keeps this one's
	defer runtime.UnlockOSThread()
	if getTimerSlack() != usualSlack {
		return // somebody's choice, such as systemd's TimerSlackNSec=
	}
	if setTimerSlack(monitorSlack) != nil || getTimerSlack() != monitorSlack {
		return // threads with a real-time policy have none
	}
	if self, err := os.Executable(); err == nil {
		_ = syscall.Exec(self, os.Args, os.Environ()) // returns only when it failed
	}
	_ = setTimerSlack(usualSlack)
}

// restoreSlack gives every thread that runs goroutines the usual slack. Those to come
// inherit it, unless it is the monitor that starts them: a few spare ones make that rare.
func restoreSlack() {
	_ = setTimerSlack(usualSlack)
	runtime.LockOSThread() // the runtime starts a thread now that starts others later
	defer runtime.UnlockOSThread()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	n := len(threads) + spareThreads
	var all, ended sync.WaitGroup
	all.Add(n)
	for range n {
		ended.Go(func() {
			runtime.LockOSThread() // until all have one, so that no two have the same
			defer runtime.UnlockOSThread()
			_ = setTimerSlack(usualSlack)
			all.Done()
			all.Wait()
		})
	}
	ended.Wait()
}

func setTimerSlack(d time.Duration) error {
	return unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(d), 0, 0, 0)
}

// getTimerSlack returns that of the calling thread, and 0 if the kernel does not tell.
func getTimerSlack() time.Duration {
	n, _ := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return time.Duration(n)
}
