package proxy_test

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	. "mpproxy/proxy/proxytest"
)

// BenchmarkSmallFetch fetches 1 KB over a new connection each time, through a
// front and a concentrator in this process, several at a time. The allocations
// are those of application, front, concentrator and destination together.
func BenchmarkSmallFetch(b *testing.B) {
	for _, l := range setups(b) {
		b.Run(l.name, func(b *testing.B) { benchmarkFetch(b, l) })
	}
}

func benchmarkFetch(b *testing.B, l setup) {
	answer := make([]byte, 1024)
	dest := StartDestination(b, func(c *net.TCPConn) {
		var q [16]byte
		if _, err := io.ReadFull(c, q[:]); err == nil {
			_, _ = c.Write(answer)
		}
	})
	_, conc := startConcentrator(b, l.conc)
	f, front := startFront(b, upstreamTo(conc.Addr, l.up), nil)
	request := Join(GreetNone(), ConnectAddr(dest))
	b.SetParallelism(8)
	b.ReportAllocs()
	before := cpuTime(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			fetch(b, front, request, len(answer))
		}
	})
	b.ReportMetric(100*float64(f.Table().Totals.Reused.Load())/float64(b.N), "%reused")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "fetches/s")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

// cpuTime is what this process has used: on a machine that others use, too, it
// says more than the clock.
func cpuTime(b *testing.B) time.Duration {
	var r unix.Rusage
	Must(b, unix.Getrusage(unix.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func fetch(b *testing.B, front *Running, request []byte, size int) {
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(front.Addr))
	if err != nil {
		b.Error(err)
		return
	}
	defer c.Close()
	buf := make([]byte, 12+size)
	if _, err = c.Write(request); err == nil {
		_, err = io.ReadFull(c, buf[:12])
	}
	if err == nil {
		_, err = c.Write(buf[:16])
	}
	if err == nil {
		_, err = io.ReadFull(c, buf[12:])
	}
	if err != nil || buf[3] != 0 {
		b.Errorf("reply %d: %v", buf[3], err)
	}
}
