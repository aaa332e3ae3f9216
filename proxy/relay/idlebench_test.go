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
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// idlePeerEnv makes the test binary the peers of BenchmarkIdle: its value is
// "ADDR_A ADDR_B KIND COUNT BYTES".
const idlePeerEnv = "RELAY_IDLE_PEER"

// BenchmarkIdle reports the memory of this process that one relayed connection
// takes while it waits: heap and stacks after a collection, and resident
// memory as it came to be. Each has moved some bytes from b to a before.
func BenchmarkIdle(b *testing.B) {
	for _, bb := range []struct {
		lb    link
		bytes int
	}{{linkMPTCP, 1}, {linkMPTCP, 100_000}, {linkTLS, 1}, {linkTLS, 100_000}} {
		b.Run(fmt.Sprintf("tcp-%s/after%dB", bb.lb.name, bb.bytes), func(b *testing.B) {
			for b.Loop() {
				idle(b, bb.lb, 2000, bb.bytes)
			}
		})
	}
}

func idle(b *testing.B, lb link, count, bytes int) {
	listen := func(mptcp bool) net.Listener {
		lc := net.ListenConfig{}
		lc.SetMultipathTCP(mptcp)
		ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		return ln
	}
	lnA, lnB := listen(false), listen(lb.mptcp)
	defer lnA.Close()
	defer lnB.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %d %d", idlePeerEnv, lnA.Addr(), lnB.Addr(), lb.name, count, bytes))
	cmd.Stderr = os.Stderr
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()

	before, rssBefore := settled(), resident(b)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	parking := hastyParking(b)
	for range count {
		a := must(lnA.Accept()).(*net.TCPConn)
		leg := must(lnB.Accept()).(*net.TCPConn)
		wg.Go(func() { relayIdle(&wg, parking, lb, a, leg) })
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "idle\n" {
		b.Fatal(line, err)
	}
	eventually(b, "all parked, buffers and pipes given back", func() bool {
		return parking.len() == count && buffers.inUse() == 0 && pipes.inUse() == 0
	})
	rss := resident(b) - rssBefore
	after := settled()
	b.ReportMetric(float64(rss)/float64(count), "resident-B/conn")
	b.ReportMetric(float64(int64(after.HeapAlloc-before.HeapAlloc))/float64(count), "heap-B/conn")
	b.ReportMetric(float64(int64(after.StackInuse-before.StackInuse))/float64(count), "stack-B/conn")
	in.Close()
	wg.Wait()
	_ = cmd.Wait()
}

// relayIdle does what callers are advised to: the handshake in a goroutine of
// its own.
func relayIdle(wg *sync.WaitGroup, parking *Parking, lb link, a, leg *net.TCPConn) {
	s := Stream(leg)
	if lb.tls {
		tc := tls.Client(NewRecordConn(leg), clientConfig())
		must(0, tc.Handshake())
		s = tc
	}
	wg.Add(1)
	end := func(Result) { wg.Done() }
	wg.Go(func() {
		if res, over := Run(context.Background(), a, s, Config{Parking: parking}, nil, end); over {
			end(res)
		}
	})
}

func settled() (m runtime.MemStats) {
	for range 3 {
		runtime.GC() // stacks shrink by half each time
	}
	runtime.ReadMemStats(&m)
	return m
}

func resident(t testing.TB) int64 {
	f := strings.Fields(string(must(os.ReadFile("/proc/self/statm"))))
	pages, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

func idlePeer() {
	f := strings.Fields(os.Getenv(idlePeerEnv))
	count, size := must(strconv.Atoi(f[3])), must(strconv.Atoi(f[4]))
	l := map[string]link{"mptcp": linkMPTCP, "tls": linkTLS}[f[2]]
	var all []Stream
	d := net.Dialer{}
	for range count {
		d.SetMultipathTCP(false)
		a := must(d.Dial("tcp", f[0])).(*net.TCPConn)
		d.SetMultipathTCP(l.mptcp)
		s := Stream(must(d.Dial("tcp", f[1])).(*net.TCPConn))
		if l.tls {
			s = tls.Server(NewRecordConn(s), serverConfig())
		}
		for n := size; n > 0; n -= recordSend { // as the relay at the other end does
			must(s.Write(make([]byte, min(n, recordSend))))
		}
		must(io.ReadFull(a, make([]byte, size)))
		all = append(all, a, s)
	}
	fmt.Println("idle")
	_, _ = io.Copy(io.Discard, os.Stdin)
	for _, s := range all {
		s.Close()
	}
}
