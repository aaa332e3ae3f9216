package mptcpsock

import (
	"context"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkDial compares what a connection costs: dial, accept, close both.
func BenchmarkDial(b *testing.B) {
	needMPTCP(b)
	b.Run("mptcpsock-strict", func(b *testing.B) {
		ln := listen(b, ListenConfig{}, "127.0.0.1:0")
		d := Dialer{Strict: true}
		benchmarkDial(b,
			func() (net.Conn, error) { return d.Dial(context.Background(), ln.Addr()) },
			func() (net.Conn, error) { return ln.Accept() })
	})
	for _, multipath := range []bool{true, false} {
		name := map[bool]string{true: "net-mptcp", false: "net-tcp"}[multipath]
		b.Run(name, func(b *testing.B) {
			var lc net.ListenConfig
			lc.SetMultipathTCP(multipath)
			ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
			must(b, err)
			defer ln.Close()
			var d net.Dialer
			d.SetMultipathTCP(multipath)
			benchmarkDial(b,
				func() (net.Conn, error) { return d.Dial("tcp", ln.Addr().String()) },
				ln.Accept)
		})
	}
}

func benchmarkDial(b *testing.B, dial, accept func() (net.Conn, error)) {
	b.ReportAllocs()
	before := cpuTime(b)
	defer func() { b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op") }()
	for b.Loop() {
		c, err := dial()
		must(b, err)
		s, err := accept()
		must(b, err)
		must(b, c.Close())
		must(b, s.Close())
	}
}

// cpuTime is the CPU time of the process, the kernel's work for it included: it
// suffers less than the elapsed time from what else the machine does.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSubflows compares the two ways to read subflows.
func BenchmarkSubflows(b *testing.B) {
	needMPTCP(b)
	c, _ := connectLoopback(b, Dialer{Strict: true})
	b.Run("full-info", func(b *testing.B) {
		if err := ProbeFullInfo(); err != nil {
			b.Skip(err)
		}
		benchmarkSubflows(b, c.subflowsFullInfo)
	})
	b.Run("two-calls", func(b *testing.B) { benchmarkSubflows(b, c.subflowsTwoCalls) })
}

func benchmarkSubflows(b *testing.B, read func() ([]Subflow, error)) {
	b.ReportAllocs()
	for b.Loop() {
		_, err := read()
		must(b, err)
	}
}
