package control

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"testing"
	"time"
)

// envPeer makes the process the other end of BenchmarkRemoveAddrs: the value is
// peerPlain or peerControlled.
const (
	envPeer        = "MPPROXY_TEST_PEER"
	peerPlain      = "peer without Controller"
	peerControlled = "peer with Controller"
)

// What the end that dials wants, its first byte.
const (
	wantsDownload = 'd'
	wantsUpload   = 'u'
)

// silenceSize is the size of a transfer, bytes.
const silenceSize = 8 << 20

// TestSilencePeer is no test but the process that BenchmarkRemoveAddrs starts as
// peer.
func TestSilencePeer(t *testing.T) {
	kind := os.Getenv(envPeer)
	if kind == "" {
		t.Skip("it is run by BenchmarkRemoveAddrs")
	}
	var lc ListenConfig
	if kind == peerControlled {
		lc.Controller = openController(t)
	}
	ln, err := lc.Listen(testContext(t), netip.MustParseAddrPort("[::]:7000"))
	must(t, err)
	fmt.Println("listening")
	for {
		c, err := ln.Accept()
		must(t, err)
		if err := servePeer(c); err != nil {
			fmt.Println("peer:", err)
		}
		_ = c.Close()
	}
}

// servePeer serves one connection.
func servePeer(c *Conn) error {
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	var wish [1]byte
	if _, err := io.ReadFull(c, wish[:]); err != nil {
		return err
	}
	if _, err := c.Write(wish[:]); err != nil { // lets subflows join
		return err
	}
	if wish[0] == wantsDownload {
		return writePattern(c, silenceSize)
	}
	silence, err := readPattern(c, func() {})
	if err != nil {
		return err
	}
	return binary.Write(c, binary.BigEndian, int64(silence))
}

var errOtherBytes = errors.New("other bytes than those sent")

// readPattern returns the longest time without a byte in the second half, and
// calls half when it begins.
func readPattern(r io.Reader, half func()) (silence time.Duration, err error) {
	want, got := pattern(1<<20), make([]byte, 1<<20)
	last := time.Now()
	for n := 0; n < silenceSize; {
		at := n % len(got)
		k, err := r.Read(got[at:])
		if err != nil {
			return 0, err
		}
		now := time.Now()
		if n < silenceSize/2 && n+k >= silenceSize/2 {
			half()
		} else if n >= silenceSize/2 {
			silence = max(silence, now.Sub(last))
		}
		last = now
		if string(got[at:at+k]) != string(want[at:at+k]) {
			return 0, fmt.Errorf("%w, from %d on", errOtherBytes, n)
		}
		n += k
	}
	return silence, nil
}
