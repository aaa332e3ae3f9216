package link

import (
	"runtime"
	"sync"
)

// The Go scheduler lets as many goroutines run as there are processors. One that
// comes back from a sleep in the kernel waits up to 10 ms for its turn when others
// compute, and frames with it: hardware would not. So each wire brings a processor
// of Go's along, and the kernel, which sees the wires' priority, chooses who runs.
var processors sync.Mutex

// addProcessors adds to GOMAXPROCS; a negative number takes away again.
func addProcessors(n int) {
	processors.Lock()
	defer processors.Unlock()
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n)
}
