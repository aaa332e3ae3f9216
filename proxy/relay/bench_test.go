package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// peerEnv makes the test binary the other process of a benchmark: the relay's
// peers must not count in its CPU time. Its value is "SRC DST BYTES".
const peerEnv = "RELAY_BENCH_PEER"

// benchBytes is what one benchmark operation moves.
const benchBytes = 256 << 20

// BenchmarkRelay compares the ways to move one direction: bytes per second,
// and CPU time of the relay alone per GB.
func BenchmarkRelay(b *testing.B) {
	type variant struct {
		name string
		set  func(d *direction)
	}
	forced := func(m method, level int8) func(d *direction) {
		return func(d *direction) { d.method, d.level, d.top = m, level, level }
	}
	copies := []variant{
		{"copy64K", forced(methodCopy, level64K)},
		{"copy256K", forced(methodCopy, level256K)},
		{"copy1M", forced(methodCopy, level1M)},
	}
	all := append([]variant{
		{"chosen", func(*direction) {}},
		{"splice64K", forced(methodSplice, level64K)},
		{"splice256K", forced(methodSplice, level256K)},
		{"splice1M", forced(methodSplice, level1M)},
	}, copies...)
	viaTLS := append([]variant{{"chosen", func(*direction) {}}}, copies...)
	for _, c := range []struct {
		src, dst link
		variants []variant
	}{
		{linkTCP, linkMPTCP, all},
		{linkMPTCP, linkTCP, all},
		{linkTCP, linkTCP, all},
		{linkTCP, linkTLS, viaTLS},
		{linkTLS, linkTCP, viaTLS},
		{linkTCP, linkPlainTLS, viaTLS[:1]},
		{linkPlainTLS, linkTCP, viaTLS[:1]},
	} {
		for _, v := range c.variants {
			b.Run(c.src.name+"-"+c.dst.name+"/"+v.name, func(b *testing.B) {
				benchmarkRelay(b, c.src, c.dst, v.set)
			})
		}
	}
}

func benchmarkRelay(b *testing.B, src, dst link, set func(*direction)) {
	b.SetBytes(benchBytes)
	var cpu time.Duration
	for b.Loop() {
		b.StopTimer()
		near, far, wait := dialPeer(b, src, dst)
		s := newSession(near, far, Config{}, nil)
		set(&s.fwd)
		b.StartTimer()
		before := cpuTime(b)
		res, _ := s.run(context.Background())
		cpu += cpuTime(b) - before
		if res.Reason != BothEnded || res.AToB != benchBytes {
			b.Fatalf("%d bytes, %v, %v", res.AToB, res.Reason, res.Err)
		}
		wait()
	}
	gb := float64(b.N) * benchBytes / 1e9
	b.ReportMetric(cpu.Seconds()*1000/gb, "cpu-ms/GB")
}

func cpuTime(b testing.TB) time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// dialPeer starts the peers' process and connects to it twice.
func dialPeer(b testing.TB, src, dst link) (near, far Stream, wait func()) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", peerEnv, src.name, dst.name, benchBytes))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	connect := func(l link) Stream {
		if !lines.Scan() {
			b.Fatal("the peer's process ended")
		}
		d := net.Dialer{}
		d.SetMultipathTCP(l.mptcp)
		c, err := d.Dial("tcp", lines.Text())
		if err != nil {
			b.Fatal(err)
		}
		s := Stream(c.(*net.TCPConn))
		if l.tls {
			nc := net.Conn(s)
			if !l.plain {
				nc = NewRecordConn(s)
			}
			tc := tls.Client(nc, clientConfig())
			if err := tc.Handshake(); err != nil {
				b.Fatal(err)
			}
			s = tc
		}
		return s
	}
	near, far = connect(src), connect(dst)
	return near, far, func() {
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}

// benchPeer is the other process: it accepts a source and a sink, sends bytes
// through the first and expects them on the second.
func benchPeer() {
	f := strings.Fields(os.Getenv(peerEnv))
	size, _ := strconv.Atoi(f[2])
	src, dst := accept(f[0]), accept(f[1])
	go func() {
		buf := make([]byte, 1<<20)
		for n := 0; n < size; n += len(buf) {
			must(src.Write(buf))
		}
		must(0, src.CloseWrite())
	}()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{dst}, make([]byte, 1<<20))
	must(n, err)
	if int(n) != size {
		panic("truncated")
	}
	must(0, dst.CloseWrite())
	must(io.ReadAll(src))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// accept listens for one connection of that kind and says where.
func accept(kind string) Stream {
	l := map[string]link{"tcp": linkTCP, "mptcp": linkMPTCP, "tls": linkTLS, "plaintls": linkPlainTLS}[kind]
	lc := net.ListenConfig{}
	lc.SetMultipathTCP(l.mptcp)
	ln := must(lc.Listen(context.Background(), "tcp", "127.0.0.1:0"))
	fmt.Println(ln.Addr())
	c := must(ln.Accept()).(*net.TCPConn)
	if !l.tls {
		return c
	}
	tc := tls.Server(NewRecordConn(c), serverConfig())
	must(0, tc.Handshake())
	return tc
}

// BenchmarkChain is the whole way on one machine: source, relay to the leg,
// relay from the leg, sink. The CPU time is that of both relays.
func BenchmarkChain(b *testing.B) {
	for _, leg := range []link{linkMPTCP, linkTLS} {
		b.Run(leg.name, func(b *testing.B) {
			b.SetBytes(benchBytes)
			var cpu time.Duration
			for b.Loop() {
				b.StopTimer()
				app, dest, wait := dialPeer(b, linkTCP, linkTCP)
				out, in := leg.dial(b)
				b.StartTimer()
				before := cpuTime(b)
				first := make(chan Result, 1)
				go func() { first <- runToEnd(context.Background(), app, out, Config{}, nil) }()
				second := runToEnd(context.Background(), in, dest, Config{}, nil)
				if res := <-first; res.AToB != benchBytes || second.AToB != benchBytes {
					b.Fatal(res, second)
				}
				cpu += cpuTime(b) - before
				wait()
			}
			b.ReportMetric(cpu.Seconds()*1000/(float64(b.N)*benchBytes/1e9), "cpu-ms/GB")
		})
	}
}
