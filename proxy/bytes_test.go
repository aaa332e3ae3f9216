package proxy_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/proxy"
	"mpproxy/proxy/egress"
	"mpproxy/proxy/leg"
	. "mpproxy/proxy/proxytest"
)

// TestEarlyDataInOneRecord: an ordinary TLS client puts greeting, request and data into one
// record. All of it reaches the destination although nothing more comes.
func TestEarlyDataInOneRecord(t *testing.T) {
	cert, _ := NewKey(t)
	_, at := startConcentrator(t, func(c *egress.Config) { c.TLS = leg.ServerTLS(cert) })
	for _, size := range []int{1, 400, 462, 463, 600, 2000, 16_000, 100_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			early := bytes.Repeat([]byte("early, "), size/7+1)[:size]
			got := make(chan error, 1)
			dest := StartDestination(t, func(c *net.TCPConn) {
				b := make([]byte, size)
				_, err := io.ReadFull(c, b)
				if err == nil && !bytes.Equal(b, early) {
					err = fmt.Errorf("other bytes than were sent")
				}
				got <- err
				Hold(c)
			})
			c := tls.Client(DialPlain(t, at.Addr), &tls.Config{
				MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, DynamicRecordSizingDisabled: true,
			})
			_, err := c.Write(Join(GreetUser("alice", "token"), ConnectAddr(dest), early))
			Must(t, err)
			if r := ReadAnswer(t, c, []byte{5, 2, 1, 0}); r != proxy.Succeeded {
				t.Fatal(r)
			}
			Must(t, Await(t, "all bytes at the destination", got))
		})
	}
}

// TestUrgentData: a byte that is sent out of band arrives in its place among the others,
// both ways, in a short exchange and in the middle of a long transfer.
func TestUrgentData(t *testing.T) {
	onBoth(t, func(t *testing.T, l setup) {
		_, at := startConcentrator(t, l.conc)
		_, f := startFront(t, upstreamTo(at.Addr, l.up), nil)
		for _, n := range []int{1, 8 << 20} {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				got := make(chan error, 1)
				dest := StartDestination(t, func(c *net.TCPConn) {
					err := takeUrgent(c, n)
					got <- err
					if err == nil {
						_ = sendUrgent(c, n)
						Hold(c)
					}
				})
				app := connectThrough(t, f.Addr, dest)
				Must(t, sendUrgent(app, n))
				Must(t, Await(t, "all bytes at the destination", got))
				Must(t, takeUrgent(app, n))
			})
		}
	})
}

func connectThrough(t *testing.T, front, dest netip.AddrPort) *net.TCPConn {
	t.Helper()
	c := DialPlain(t, front)
	if r := Ask(t, c, ConnectAddr(dest)); r != proxy.Succeeded {
		t.Fatal(r)
	}
	return c
}

// sendUrgent sends n bytes, one out of band, and n bytes.
func sendUrgent(c *net.TCPConn, n int) error {
	block := bytes.Repeat([]byte{0x41}, n)
	if _, err := c.Write(block); err != nil {
		return err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	werr := raw.Write(func(fd uintptr) bool {
		err = unix.Sendto(int(fd), []byte{0xf2}, unix.MSG_OOB|unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
		return err != unix.EAGAIN
	})
	if werr != nil || err != nil {
		return fmt.Errorf("%v, %v", werr, err)
	}
	_, err = c.Write(block)
	return err
}

// takeUrgent wants to read what sendUrgent sends.
func takeUrgent(c *net.TCPConn, n int) error {
	_ = c.SetDeadline(time.Now().Add(Patience))
	b := make([]byte, 2*n+1)
	if got, err := io.ReadFull(c, b); err != nil {
		return fmt.Errorf("after %d bytes of %d: %w", got, len(b), err)
	}
	if b[n-1] != 0x41 || b[n] != 0xf2 || b[n+1] != 0x41 {
		return fmt.Errorf("not where it was sent: % x", b[n-1:n+2])
	}
	return nil
}
