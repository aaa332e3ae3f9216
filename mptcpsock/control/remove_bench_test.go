package control

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	lab "mpproxy/test/netns"
	"mpproxy/test/netns/link"
	"mpproxy/test/veth"
)

// envAddrs tells the process that dials its addresses on the two links and the
// peer's, separated by blanks.
const envAddrs = "MPPROXY_TEST_ADDRS"

// silenceRuns is how many transfers each line of BenchmarkRemoveAddrs is made of.
const silenceRuns = 20

// BenchmarkRemoveAddrs takes the address in use away in the middle of a transfer
// and prints how long the receiver got nothing, and how long RemoveAddrs took,
// beside transfers from which nothing is taken: over two links of 20 Mbit/s and
// 10 ms each way, and over unshaped ones; both ways; to a peer that has a
// Controller and to one that has none. The peer is a process of its own, as a
// Controller is for a process. Run it on a machine with nothing else to do; one
// line alone takes -bench 'RemoveAddrs/shaped/no_Controller/download'.
func BenchmarkRemoveAddrs(b *testing.B) {
	if addrs := os.Getenv(envAddrs); addrs != "" {
		benchmarkSilence(b, strings.Fields(addrs))
		return
	}
	lab.Require(b)
	needMPTCP(b)
	shaped := link.Params{Rate: 20 * link.Mbit, Delay: 10 * time.Millisecond, Queue: 60_000}
	for _, l := range []struct {
		name string
		link.Params
	}{{"shaped", shaped}, {"unshaped", link.Params{}}} {
		for _, kind := range []string{peerControlled, peerPlain} {
			for _, way := range []string{"upload", "download"} {
				for _, what := range []string{"removed", "left alone"} {
					b.Run(l.name+"/"+kind+"/"+way+"/"+what, func(b *testing.B) { measureSilence(b, l.Params, kind, way+" "+what) })
				}
			}
		}
	}
}

// measureSilence runs the two ends in hosts of their own.
func measureSilence(b *testing.B, p link.Params, kind, what string) {
	topo, err := lab.New(testContext(b), lab.Config{Links: []lab.LinkConfig{
		{Name: "link1", Params: p, V4: true}, {Name: "link2", Params: p, V4: true},
	}})
	must(b, err)
	defer func() { must(b, topo.Close()) }()
	const self = "/proc/self/exe"
	peer, err := topo.Concentrator.Start(testContext(b), lab.Spec{
		Path: self, Args: []string{"-test.run", "^TestSilencePeer$", "-test.v"}, Env: []string{envPeer + "=" + kind},
	})
	must(b, err)
	if _, err := peer.WaitOutput(testContext(b), "listening"); err != nil {
		b.Fatalf("%v\n%s", err, peer.Output())
	}
	veth.Namespace{Handle: netns.NsHandle(topo.Concentrator.NetNS())}.Limits(b, 8)
	cmd := topo.Client.Command(b.Context(), self, "-test.run", "^$", "-test.bench", "^BenchmarkRemoveAddrs$", "-test.benchtime", "1x")
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%v %v %v %s", envAddrs, topo.Links[0].Client4, topo.Links[1].Client4, topo.Concentrator4, what))
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s\npeer: %s", err, out, peer.Output())
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "  ") {
			fmt.Print(line)
		}
	}
}

// benchmarkSilence is the end that dials, in its own process.
func benchmarkSilence(b *testing.B, texts []string) {
	ctl, err := OpenController(testContext(b), ControllerConfig{StateDir: b.TempDir()})
	must(b, err)
	defer func() { must(b, ctl.Close()) }()
	here, there := addrs(texts[:2]...), netip.AddrPortFrom(netip.MustParseAddr(texts[2]), 7000)
	d := Dialer{Controller: ctl, Strict: true, LocalAddrs: []netip.AddrPort{port0(here[0]), port0(here[1])}}
	var silent, took []time.Duration
	for range silenceRuns {
		s, t := oneSilence(b, d, there, texts[3] == "upload", texts[4] == "removed")
		silent, took = append(silent, s), append(took, t)
	}
	fmt.Println("  silent: " + distribution(silent))
	fmt.Println("  took:   " + distribution(took))
}

// distribution is the median, the worst, and all values, in milliseconds.
func distribution(all []time.Duration) string {
	slices.Sort(all)
	ms := make([]string, len(all))
	for i, d := range all {
		ms[i] = fmt.Sprint(d.Milliseconds())
	}
	return fmt.Sprintf("median %s ms, worst %s ms (%s)", ms[len(ms)/2], ms[len(ms)-1], strings.Join(ms, " "))
}

// oneSilence is one transfer. It returns the longest silence of its second half,
// and how long the removal took.
func oneSilence(b *testing.B, d Dialer, to netip.AddrPort, upload, remove bool) (silent, took time.Duration) {
	b.Helper()
	ctx := testContext(b)
	c, err := d.Dial(ctx, to)
	must(b, err)
	bound(b, c)
	defer c.Close()
	wish := []byte{wantsDownload}
	if upload {
		wish[0] = wantsUpload
	}
	_, err = c.Write(wish)
	must(b, err)
	_, err = io.ReadFull(c, wish)
	must(b, err)
	awaitEstablished(b, c, 2)
	done := make(chan error, 1)
	act := func() {
		if !remove {
			done <- nil
			return
		}
		begin := time.Now()
		err := c.RemoveAddrs(ctx, d.LocalAddrs[0])
		took = time.Since(begin)
		done <- err
	}
	if !upload {
		silent, err = readPattern(c, func() { go act() })
		must(b, err)
		must(b, <-done)
		return silent, took
	}
	sent := make(chan error, 1)
	go send(c, silenceSize, sent)
	for { // until half has been acknowledged
		info, err := c.Info()
		must(b, err)
		if info.BytesAcked >= silenceSize/2 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	act()
	must(b, <-done)
	must(b, <-sent)
	var ns int64
	must(b, binary.Read(c, binary.BigEndian, &ns))
	return time.Duration(ns), took
}

// awaitEstablished waits for n established subflows.
func awaitEstablished(b *testing.B, c *Conn, n int) {
	b.Helper()
	events := c.Events(testContext(b))
	if established(b, c) >= n {
		return
	}
	for _, err := range events {
		must(b, err)
		if established(b, c) >= n {
			return
		}
	}
}
